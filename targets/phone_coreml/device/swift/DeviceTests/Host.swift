import SwiftUI

/// The app that the tests run in: a device runs no tests without one.
@main
struct Host: App {
    var body: some Scene {
        WindowGroup {
            Text("{{module}}: tests are running")
        }
    }
}
