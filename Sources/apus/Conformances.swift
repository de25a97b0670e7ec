public import ArgumentParser
public import DeviceKit
public import Logging
public import Machine
public import RemoteDevice

extension MachineConfiguration.Transport: ExpressibleByArgument {}
extension MachineConfiguration.Isolation: ExpressibleByArgument {}
extension DMAMode: ExpressibleByArgument {}
extension MachineConfiguration.ResetAction: ExpressibleByArgument {}
extension SandboxMode: ExpressibleByArgument {}
extension InterruptMode: ExpressibleByArgument {}
extension Logger.Level: @retroactive ExpressibleByArgument {}
