// A Multiboot program that tests the machine it runs on.
#pragma once
#include "../common/guest.h"

enum {
  VECTOR_LINE = 0x31,  // the I/O APIC's pin under test
  VECTOR_COPIER = 0x35, // the pin of Examples/copier
  VECTOR_PING = 0x41,  // from the first CPU to another
  VECTOR_PONG = 0x42,  // and back
  VECTOR_TIMER = 0x51, // a local APIC's timer
};

// apic.c
void handlers_start(void);
void check_timer(void);
void check_lines(void);

// cpus.c
void check_cpus(void);

// devices.c
void check_serial_loopback(void);
void check_test_device(void);
void check_fw_cfg(void);

// copier.c
void check_copier(void);
