import Glibc
import Interrupts
import TestSupport
import Testing

/// Numbers and layouts, against the kernel's own header for s390.
@Suite struct FLICHeaderTests {
  private static let headers = "/usr/s390x-linux-gnu/include"
  private static let missing: String? =
    access("\(headers)/asm/kvm.h", R_OK) != 0
    ? "linux-libc-dev-s390x-cross is not installed"
    : run("command -v cc").status != 0 ? "cc is not installed" : nil

  /// C expressions, and what they are here.
  private static let expected: [(expression: String, value: UInt64)] =
    groups + types + numbers + layouts

  private static let groups: [(String, UInt64)] = [
    ("GET_ALL_IRQS", FLICGroup.getAllIRQs), ("ENQUEUE", .enqueue), ("CLEAR_IRQS", .clearIRQs),
    ("APF_ENABLE", .apfEnable), ("APF_DISABLE_WAIT", .apfDisableWait),
    ("ADAPTER_REGISTER", .adapterRegister), ("ADAPTER_MODIFY", .adapterModify),
    ("CLEAR_IO_IRQ", .clearIOIRQ), ("AISM", .aism), ("AIRQ_INJECT", .airqInject),
    ("AISM_ALL", .aismAll),
  ].map { ("KVM_DEV_FLIC_\($0.0)", UInt64($0.1.rawValue)) }

  private static let types: [(String, UInt64)] = [
    ("KVM_S390_INT_IO_MIN", FloatingInterruptType.ioMinimum),
    ("KVM_S390_INT_IO_MAX", FloatingInterruptType.ioMaximum),
    ("KVM_S390_INT_IO_AI_MASK", FloatingInterruptType.adapter),
    ("KVM_S390_INT_IO(1, 0, 0, 0)", FloatingInterruptType.adapter),
    (
      "KVM_S390_INT_IO(0, 0xFE, 3, 0x1234)",
      UInt64(IOInterrupt(subchannel: 0x1234, set: 3, css: 0xFE, isc: 0).type)
    ),
    ("KVM_S390_INT_PFAULT_DONE", FloatingInterruptType.pageFaultDone),
    ("KVM_S390_MCHK", FloatingInterruptType.machineCheck),
    ("KVM_S390_INT_SERVICE", FloatingInterruptType.serviceSignal),
    ("KVM_S390_INT_VIRTIO", FloatingInterruptType.virtio),
  ]

  private static let numbers: [(String, UInt64)] = [
    ("KVM_S390_MAX_FLOAT_IRQS", UInt64(FLICConfiguration.maximumIO)),
    ("KVM_S390_FLIC_MAX_BUFFER", FLICConfiguration.maximumBuffer),
    ("KVM_S390_ADAPTER_SUPPRESSIBLE", UInt64(IOAdapter.suppressibleFlag)),
    ("KVM_S390_IO_ADAPTER_MASK", UInt64(IOAdapter.Operation.mask.rawValue)),
    ("KVM_S390_IO_ADAPTER_MAP", UInt64(IOAdapter.Operation.map.rawValue)),
    ("KVM_S390_IO_ADAPTER_UNMAP", UInt64(IOAdapter.Operation.unmap.rawValue)),
  ]

  private static let layouts: [(String, UInt64)] = [
    ("sizeof(struct kvm_s390_irq)", FLICLayout.Record.size),
    ("offsetof(struct kvm_s390_irq, type)", FLICLayout.Record.type),
    ("sizeof(((struct kvm_s390_irq *)0)->type)", 8),
    ("offsetof(struct kvm_s390_irq, u)", FLICLayout.Record.content),
    ("offsetof(struct kvm_s390_irq, u.io.subchannel_id)", FLICLayout.IO.subchannelID),
    ("offsetof(struct kvm_s390_irq, u.io.subchannel_nr)", FLICLayout.IO.subchannelNumber),
    ("offsetof(struct kvm_s390_irq, u.io.io_int_parm)", FLICLayout.IO.parameter),
    ("offsetof(struct kvm_s390_irq, u.io.io_int_word)", FLICLayout.IO.word),
    ("sizeof(struct kvm_s390_io_info)", 12),
    ("offsetof(struct kvm_s390_irq, u.ext.ext_params)", FLICLayout.External.parameter),
    ("offsetof(struct kvm_s390_irq, u.ext.pad)", FLICLayout.External.pad),
    ("offsetof(struct kvm_s390_irq, u.ext.ext_params2)", FLICLayout.External.parameter64),
    ("sizeof(struct kvm_s390_ext_info)", 16),
    ("offsetof(struct kvm_s390_irq, u.mchk.cr14)", FLICLayout.MachineCheck.cr14),
    ("offsetof(struct kvm_s390_irq, u.mchk.mcic)", FLICLayout.MachineCheck.code),
    ("sizeof(struct kvm_s390_mchk_info)", 48),
    ("sizeof(struct kvm_s390_io_adapter)", FLICLayout.Adapter.size),
    ("offsetof(struct kvm_s390_io_adapter, id)", FLICLayout.Adapter.id),
    ("offsetof(struct kvm_s390_io_adapter, isc)", FLICLayout.Adapter.isc),
    ("offsetof(struct kvm_s390_io_adapter, maskable)", FLICLayout.Adapter.maskable),
    ("offsetof(struct kvm_s390_io_adapter, swap)", FLICLayout.Adapter.swap),
    ("offsetof(struct kvm_s390_io_adapter, flags)", FLICLayout.Adapter.flags),
    ("sizeof(struct kvm_s390_io_adapter_req)", FLICLayout.AdapterRequest.size),
    ("offsetof(struct kvm_s390_io_adapter_req, id)", FLICLayout.AdapterRequest.id),
    ("offsetof(struct kvm_s390_io_adapter_req, type)", FLICLayout.AdapterRequest.type),
    ("offsetof(struct kvm_s390_io_adapter_req, mask)", FLICLayout.AdapterRequest.mask),
    ("offsetof(struct kvm_s390_io_adapter_req, addr)", FLICLayout.AdapterRequest.address),
    ("sizeof(struct kvm_s390_ais_req)", FLICLayout.SuppressionRequest.size),
    ("offsetof(struct kvm_s390_ais_req, isc)", FLICLayout.SuppressionRequest.isc),
    ("offsetof(struct kvm_s390_ais_req, mode)", FLICLayout.SuppressionRequest.mode),
    ("sizeof(((struct kvm_s390_ais_req *)0)->mode)", 2),
    ("sizeof(struct kvm_s390_ais_all)", FLICLayout.SuppressionModes.size),
    ("offsetof(struct kvm_s390_ais_all, simm)", FLICLayout.SuppressionModes.single),
    ("offsetof(struct kvm_s390_ais_all, nimm)", FLICLayout.SuppressionModes.none),
  ].map { ($0.0, UInt64($0.1)) }

  private static func run(_ command: String) -> (status: Int32, text: String) {
    guard let stream = popen("( \(command) ) 2>&1", "r") else { return (-1, "popen failed") }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&buffer, 1, buffer.count, stream), count > 0 {
      bytes += buffer[..<count]
    }
    return (pclose(stream), String(decoding: bytes, as: UTF8.self))
  }

  @Test(.enabled(if: missing == nil, Comment(rawValue: missing ?? "the headers are there")))
  func everyNumberAndLayoutIsTheHeaders() throws {
    // The structures hold numbers of fixed widths only, so this machine's compiler lays them out as an
    // s390's does. No header of this machine is mixed in.
    var source = """
      #include <linux/kvm.h>
      #define offsetof(type, member) __builtin_offsetof(type, member)
      int printf(const char *, ...);
      int main(void) {

      """
    for (expression, _) in Self.expected {
      source += "  printf(\"%llx\\n\", (unsigned long long)(\(expression)));\n"
    }
    source += "  return 0;\n}\n"
    let folder = try TemporaryFolder()
    let file = try folder.file("flic.c", Array(source.utf8))
    let program = folder.path(of: "flic")

    let compiled = Self.run("cc -nostdinc -isystem \(Self.headers) -o \(program) \(file)")
    try #require(compiled.status == 0, "\(compiled.text)")
    let values = Self.run(program).text.split(separator: "\n").map { UInt64($0, radix: 16) }

    try #require(values.count == Self.expected.count)
    for (value, expected) in zip(values, Self.expected) {
      #expect(value == expected.value, "\(expected.expression)")
    }
  }

  @Test(.enabled(if: missing == nil, Comment(rawValue: missing ?? "the headers are there")))
  func theHeaderHasNoGroupThatIsNotHere() {
    let command = "grep -c '^#define KVM_DEV_FLIC_' \(Self.headers)/asm/kvm.h"

    #expect(Self.run(command).text == "\(FLICGroup.allCases.count)\n")
  }
}
