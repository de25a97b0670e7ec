// The I/O APIC's registers (82093AA, 3.1 and 3.2).
#include "interrupts.h"

volatile uint32_t services_wanted;

void set_line(uint32_t pin, bool level) { out8((uint16_t)(0x2000 + pin), level); }

void set_pin(uint32_t pin, uint32_t low, uint32_t destination) {
  io_apic_write(0x10 + pin * 2, MASKED);
  io_apic_write(0x11 + pin * 2, destination << 24);
  io_apic_write(0x10 + pin * 2, low);
}

uint32_t pin_entry(uint32_t pin) { return io_apic_read(0x10 + pin * 2); }

void serve_level(uint32_t vector) {
  (void)vector;
  if (services_wanted && --services_wanted == 0) set_line(PIN, false);
  send_eoi();
}

void rest(void) {
  static const uint8_t pins[] = {SERIAL_PIN, PIN, OTHER_PIN};
  for (unsigned i = 0; i < sizeof pins; i++) {
    set_line(pins[i], false);
    set_pin(pins[i], MASKED, 0);
  }
  for (unsigned vector = VECTOR_LOW; vector <= VECTOR_HIGH_TOO; vector++) handle(vector, NULL);
  apic_write(APIC_TASK_PRIORITY, 0);
  enable();
  delay(500);
  forget();
}

void check_io_apic_registers(void) {
  bool masked = true;
  for (unsigned pin = 0; pin < 24; pin++) masked = masked && (pin_entry(pin) & MASKED);
  check(masked, "ioapic: all pins are masked at first");

  uint32_t version = io_apic_read(1);
  print("     I/O APIC version %x\n", version);
  check((version & 0xFF) == 0x11 || (version & 0xFF) == 0x20, "ioapic: version 11 or 20");
  check((version >> 16 & 0xFF) == 23, "ioapic: 24 pins");
  io_apic_write(1, 0xFFFFFFFF);
  check(io_apic_read(1) == version, "ioapic: the version cannot be written");

  uint32_t id = io_apic_read(0);
  io_apic_write(0, 0xFFFFFFFF);
  check(io_apic_read(0) == 0x0F000000, "ioapic: the identifier has 4 bits");
  io_apic_write(0, 0x05000000);
  check(io_apic_read(0) == 0x05000000, "ioapic: the identifier reads back");
  io_apic_write(0, id);
  store32(platform.io_apic, 0x23);
  check((load32(platform.io_apic) & 0xFF) == 0x23, "ioapic: the register select reads back");

  bool same = true;
  for (unsigned pin = 0; pin < 24; pin++) {
    uint32_t low = MASKED | LEVEL | ACTIVE_LOW | LOGICAL | LOWEST_PRIORITY | (0x40 + pin);
    io_apic_write(0x11 + pin * 2, pin << 24);
    io_apic_write(0x10 + pin * 2, low);
    same = same && pin_entry(pin) == low && io_apic_read(0x11 + pin * 2) >> 24 == pin;
    io_apic_write(0x10 + pin * 2, MASKED);
  }
  check(same, "ioapic: the redirection entries read back");
  io_apic_write(0x10 + PIN * 2, MASKED | LEVEL | REMOTE_IRR | 1 << 12 | VECTOR_LOW);
  check(!(pin_entry(PIN) & (REMOTE_IRR | 1 << 12)), "ioapic: delivery status and remote IRR cannot be written");
  rest();
}
