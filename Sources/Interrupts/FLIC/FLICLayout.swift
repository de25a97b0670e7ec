/// The structures of the interface: offsets and sizes in bytes (s390 UAPI, `linux/kvm.h` and
/// `asm/kvm.h`; both have natural alignment).
public enum FLICLayout {
  /// `struct kvm_s390_irq`: a type and, by type, one of three contents.
  public enum Record {
    /// 72.
    public static var size: Int { 72 }
    /// Eight bytes.
    public static var type: Int { 0 }
    /// Where the content begins.
    public static var content: Int { 8 }
  }

  /// `struct kvm_s390_io_info`, in a record; offsets from the record's start.
  public enum IO {
    /// Two bytes.
    public static var subchannelID: Int { Record.content }
    /// Two bytes.
    public static var subchannelNumber: Int { Record.content + 2 }
    /// Four bytes.
    public static var parameter: Int { Record.content + 4 }
    /// Four bytes.
    public static var word: Int { Record.content + 8 }
  }

  /// `struct kvm_s390_ext_info`, in a record; offsets from the record's start.
  public enum External {
    /// Four bytes.
    public static var parameter: Int { Record.content }
    /// Four bytes without a meaning, kept.
    public static var pad: Int { Record.content + 4 }
    /// Eight bytes.
    public static var parameter64: Int { Record.content + 8 }
  }

  /// `struct kvm_s390_mchk_info`, in a record; offsets from the record's start.
  ///
  /// Of a floating machine check only the subclass and the code count: failing-storage address,
  /// external-damage code and logout are a processor's own.
  public enum MachineCheck {
    /// Eight bytes.
    public static var cr14: Int { Record.content }
    /// Eight bytes.
    public static var code: Int { Record.content + 8 }
  }

  /// `struct kvm_s390_io_adapter`.
  public enum Adapter {
    /// 8.
    public static var size: Int { 8 }
    /// Four bytes.
    public static var id: Int { 0 }
    /// One byte.
    public static var isc: Int { 4 }
    /// One byte.
    public static var maskable: Int { 5 }
    /// One byte.
    public static var swap: Int { 6 }
    /// One byte.
    public static var flags: Int { 7 }
  }

  /// `struct kvm_s390_io_adapter_req`.
  public enum AdapterRequest {
    /// 16.
    public static var size: Int { 16 }
    /// Four bytes.
    public static var id: Int { 0 }
    /// One byte.
    public static var type: Int { 4 }
    /// One byte.
    public static var mask: Int { 5 }
    /// Eight bytes.
    public static var address: Int { 8 }
  }

  /// `struct kvm_s390_ais_req`.
  public enum SuppressionRequest {
    /// 4.
    public static var size: Int { 4 }
    /// One byte.
    public static var isc: Int { 0 }
    /// Two bytes.
    public static var mode: Int { 2 }
  }

  /// `struct kvm_s390_ais_all`.
  public enum SuppressionModes {
    /// 2.
    public static var size: Int { 2 }
    /// One byte.
    public static var single: Int { 0 }
    /// One byte.
    public static var none: Int { 1 }
  }
}
