/// The I/O APIC hears of ends from local APICs, and the 8259s hand them their vectors.
extension IOAPIC: EndOfInterruptTarget {}
extension PICPair: ExternalInterruptSource {}
