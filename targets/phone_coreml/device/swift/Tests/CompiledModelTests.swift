import XCTest

@testable import {{module}}

/// The compiled model is made once, kept, and made anew where it does not load.
final class CompiledModelTests: XCTestCase {
    func testItIsKept() async throws {
        let card = try ModelCard.bundled()
        try? FileManager.default.removeItem(at: CompiledModel.place(for: card))
        let first = try await CompiledModel.url(for: card)
        let made = try creation(of: first)
        let second = try await CompiledModel.url(for: card)
        XCTAssertEqual(first, second)
        XCTAssertEqual(try creation(of: second), made)
    }

    func testTasksThatComeFirstTogetherAllGetIt() async throws {
        let card = try ModelCard.bundled()
        try? FileManager.default.removeItem(at: CompiledModel.place(for: card))
        let found = try await withThrowingTaskGroup(of: URL.self) { group in
            for _ in 0..<4 {
                group.addTask { try await CompiledModel.url(for: card) }
            }
            return try await group.reduce(into: Set<URL>()) { $0.insert($1) }
        }
        XCTAssertEqual(found, [try CompiledModel.place(for: card)])
        _ = try await Model(units: .cpuOnly)
    }

    func testABrokenOneIsMadeAnew() async throws {
        let card = try ModelCard.bundled()
        let place = try CompiledModel.place(for: card)
        try? FileManager.default.removeItem(at: place)
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        let result = try await Model(units: .cpuOnly).selfTest()
        XCTAssertTrue(result.passed, "\(result)")
    }

    private func creation(of url: URL) throws -> Date? {
        try FileManager.default.attributesOfItem(atPath: url.path)[.creationDate] as? Date
    }
}
