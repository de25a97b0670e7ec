// A program that is saved and restored.
#pragma once
#include "../common/guest.h"

enum { SECTOR = 512, VECTOR_TIMER = 0x51, VECTOR_DISK = 0x61 };

// disk.c
extern volatile uint32_t disk_interrupts;
bool disk_start(void); // the first virtio disk on the bus, with MSI-X
// One request, waited for; false if it fails or takes too long.
bool disk_transfer(bool is_write, uint64_t sector, void *buffer);
