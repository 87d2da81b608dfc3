// Written by edgedistill {{version}}. A library module: put this folder into an app's project as `:{{module}}`.
plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "{{package}}"
    compileSdk = 35

    defaultConfig {
        minSdk = 24
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        ndk { abiFilters += "arm64-v8a" }
    }

    // assets are read as they are: a compressed model would have to be unpacked at every start
    androidResources { noCompress += listOf("onnx", "ort", "bin") }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions { jvmTarget = "17" }
}

dependencies {
    // the version that the workstation verified; for a small build, your own from required_operators.config
    api("com.microsoft.onnxruntime:onnxruntime-android:{{onnxruntime}}")
    testImplementation("junit:junit:4.13.2")
    testImplementation("org.json:json:20240303")
    androidTestImplementation("androidx.test.ext:junit:1.2.1")
    androidTestImplementation("androidx.test:runner:1.6.2")
}
