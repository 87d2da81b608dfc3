// Ours, not Apple's: declarations of Darwin that the sources use; nothing is behind them. See README.md.

public typealias kern_return_t = Int32
public typealias integer_t = Int32
public typealias natural_t = UInt32
public typealias mach_port_t = UInt32
public typealias mach_msg_type_number_t = natural_t
public typealias task_flavor_t = natural_t
public typealias task_info_t = UnsafeMutablePointer<integer_t>
public let KERN_SUCCESS: Int32 = 0
public let TASK_VM_INFO: Int32 = 22
public var mach_task_self_: mach_port_t = 0

public struct task_vm_info {
    public var ledger_phys_footprint_peak: Int64 = 0
    public init() {}
}

public typealias task_vm_info_data_t = task_vm_info

@discardableResult
public func task_info(
    _ target_task: mach_port_t, _ flavor: task_flavor_t, _ task_info_out: task_info_t!,
    _ task_info_outCnt: UnsafeMutablePointer<mach_msg_type_number_t>!
) -> kern_return_t {
    46  // not supported
}

@discardableResult
public func sysctlbyname(
    _ name: UnsafePointer<CChar>!, _ oldp: UnsafeMutableRawPointer!, _ oldlenp: UnsafeMutablePointer<Int>!,
    _ newp: UnsafeMutableRawPointer!, _ newlen: Int
) -> Int32 {
    -1
}
