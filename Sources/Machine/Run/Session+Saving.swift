extension Session {
  /// Saves the machine for a client of the control socket.
  func save(to path: String, _ saver: MachineSaver, _ control: RunControl) {
    do throws(MachineError) {
      try saver.save(to: path)
      if case .saved = control.result {
        machineControl.saves.answer(nil)
      } else {
        machineControl.saves.answer("\(path): the guest has ended meanwhile")
      }
    } catch {
      machineControl.saves.answer("\(error)")
    }
  }
}
