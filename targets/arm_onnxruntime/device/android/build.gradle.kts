// Written by edgedistill {{version}}. A library module: put this folder into an app's project as `:{{module}}`.
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android") // without this line from version 9 of Android's plugin on: it has Kotlin built in
}

android {
    namespace = "{{package}}"
    compileSdk = 35

    defaultConfig {
        minSdk = 24
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") } // phones, and the emulator on a PC
    }

    // for this module's own tests; an app that wants its model mapped and not unpacked says the same
    androidResources { noCompress += listOf("onnx", "ort") }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    explicitApi()
    compilerOptions { jvmTarget.set(JvmTarget.JVM_17) }
}

dependencies {
    // the version that the workstation verified; for a small build, your own from required_operators.config
    implementation("com.microsoft.onnxruntime:onnxruntime-android:{{onnxruntime}}")
    implementation("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.8.1")
    testImplementation("junit:junit:4.13.2")
    testImplementation("org.json:json:20240303")
    androidTestImplementation("androidx.test.ext:junit:1.2.1")
    androidTestImplementation("androidx.test:runner:1.6.2")
}
