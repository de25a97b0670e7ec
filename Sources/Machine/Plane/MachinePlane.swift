import DeviceModel
import Interrupts

/// What a board's devices need of whatever runs the guest: pins, messages and doorbells.
///
/// ``KVMPlane`` hands them to the kernel; ``DetachedPlane`` serves a machine that is only looked at.
protocol MachinePlane: PinController, MessageInterruptAllocator, DoorbellRegistry {}
