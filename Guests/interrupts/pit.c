// The 8254 timer: channel 0 as an interrupt, channel 2 with its gate and output at port 0x61 (8254 datasheet).
#include "pic.h"

enum { CHANNEL_0 = 0x40, CHANNEL_2 = 0x42, CONTROL = 0x43, PORT_B = 0x61 };

static void set_channel(unsigned channel, unsigned mode, uint32_t count) {
  out8(CONTROL, (uint8_t)(channel << 6 | 3 << 4 | mode << 1));
  out8((uint16_t)(CHANNEL_0 + channel), (uint8_t)count);
  out8((uint16_t)(CHANNEL_0 + channel), (uint8_t)(count >> 8));
}

static uint32_t latched(unsigned channel) {
  out8(CONTROL, (uint8_t)(channel << 6));
  uint32_t low = in8((uint16_t)(CHANNEL_0 + channel));
  return low | (uint32_t)in8((uint16_t)(CHANNEL_0 + channel)) << 8;
}

static void stop(void) {
  set_pin(2, MASKED, 0);
  set_channel(0, 0, 1); // counts down once, to an interrupt that nobody takes
  delay(QUIET);
  rest();
}

// The TSC's ticks that `count` interrupts take, the first one left out; 0 if they do not come.
static uint64_t time_of(uint32_t count) {
  if (!takes(VECTOR_LOW, 1)) return 0;
  uint64_t start = read_tsc();
  if (!wait_for(&taken[VECTOR_LOW], count + 1, 4 * LIMIT)) return 0;
  return read_tsc() - start;
}

// A generous bound, and some attempts: hosts that are busy deliver late.
enum { ATTEMPTS = 10 };

static bool is_about(uint64_t ticks, uint64_t microseconds) {
  uint64_t found = ticks / ticks_per_microsecond();
  return found > microseconds * 2 / 3 && found < microseconds * 3;
}

static void check_channel_0(void) {
  rest();
  set_pin(2, VECTOR_LOW, local_apic_id());
  set_channel(0, 0, 11932); // 10 ms
  bool once = takes(VECTOR_LOW, 1);
  delay(40000);
  check(once && taken[VECTOR_LOW] == 1, "pit: one interrupt at terminal count, by pin 2");

  static const uint8_t modes[] = {2, 3};
  for (unsigned i = 0; i < 2; i++) {
    uint64_t ticks = 1;
    for (unsigned attempt = 0; attempt < ATTEMPTS && ticks; attempt++) {
      stop();
      set_pin(2, VECTOR_LOW, local_apic_id());
      set_channel(0, modes[i], 11932);
      ticks = time_of(10);
      if (!tsc_is_told() || is_about(ticks, 100000)) break;
    }
    check(ticks, i ? "pit: the square wave interrupts again and again" : "pit: the rate generator interrupts again and again");
    if (tsc_is_told() && ticks) check(is_about(ticks, 100000), "pit: at about its rate");
  }
  stop();
  set_pin(2, VECTOR_LOW, local_apic_id());
  set_channel(0, 2, 0);
  uint32_t first = latched(0), steps = 0;
  for (unsigned i = 0; i < 20; i++) {
    delay(20); // some ticks
    uint32_t next = latched(0);
    steps += next < first;
    first = next;
  }
  check(steps >= 18, "pit: the latched count falls");
  out8(CONTROL, 0xE2); // read-back of the status
  uint8_t status = in8(CHANNEL_0);
  check((status & 0x3F) == (3 << 4 | 2 << 1), "pit: the read-back status has mode and access");
  stop();

  pic_start(USUAL);
  pic_unmask(1 << 0);
  set_channel(0, 2, 11932);
  check(takes(PIC_VECTOR, 3), "pit: line 0 of the 8259 has it too");
  out8(FIRST + 1, 0xFF);
  set_channel(0, 0, 1);
  pic_stop();
}

// The TSC's ticks until channel 2's output rises, at most some seconds; 0 if it was not seen low. From before the
// count is set until after the output is seen: a host that is busy makes it longer, never shorter.
static uint64_t time_to_output(uint32_t count) {
  out8(PORT_B, (uint8_t)((in8(PORT_B) & ~3) | 1)); // gate on, speaker off
  uint64_t start = read_tsc(), limit = start + 2000000ull * ticks_per_microsecond();
  set_channel(2, 0, count);
  if (in8(PORT_B) & 1 << 5) return 0;
  while (!(in8(PORT_B) & 1 << 5))
    if (read_tsc() > limit) return 0;
  return read_tsc() - start;
}

static void keep_shorter(uint64_t *shortest, uint64_t time) {
  if (time && (!*shortest || time < *shortest)) *shortest = time;
}

static void check_channel_2(void) {
  uint64_t short_time = 0, long_time = 0;
  bool right = false;
  for (unsigned attempt = 0; attempt < 20 * ATTEMPTS && !right; attempt++) {
    keep_shorter(&short_time, time_to_output(5966));
    keep_shorter(&long_time, time_to_output(23864));
    right = long_time > short_time * 3 && long_time < short_time * 5 && (!tsc_is_told() || is_about(short_time, 5000));
  }
  if (!right) print("     %U and %U ticks of the TSC\n", short_time, long_time);
  check(right, "pit: channel 2's output rises at about its time, and later at a greater count");

  out8(PORT_B, in8(PORT_B) & ~3); // gate off
  set_channel(2, 0, 11932);
  uint32_t first = latched(2);
  delay(30000);
  check_either(!(in8(PORT_B) & 1 << 5) && latched(2) == first, true, "pit: without its gate it does not count",
    "Linux's timer counts without a gate in this mode");
  out8(PORT_B, (uint8_t)((in8(PORT_B) & ~3) | 1));
  uint64_t limit = read_tsc() + 2000000ull * ticks_per_microsecond();
  while (!(in8(PORT_B) & 1 << 5) && read_tsc() < limit) pause();
  check(in8(PORT_B) & 1 << 5, "pit: with its gate it goes on");
  uint8_t gate = in8(PORT_B) & 3;
  out8(PORT_B, in8(PORT_B) & ~3);
  check(gate == 1 && (in8(PORT_B) & 3) == 0, "pit: the gate reads back");
}

void check_pit(void) {
  check_channel_0();
  check_channel_2();
  stop();
}
