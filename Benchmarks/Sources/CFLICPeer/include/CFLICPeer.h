// What the floating interrupt controller is measured against: one linked list of pending I/O interrupts, sorted by subclass on
// insertion and looked through from its head on delivery, each interrupt allocated by itself, behind a mutex.
#pragma once

#include <stdint.h>

struct peer_flic;

struct peer_interrupt {
  uint16_t subchannel_id;
  uint16_t subchannel_nr;
  uint32_t parameter;
  uint32_t word;
};

struct peer_flic *peer_flic_create(void);
void peer_flic_destroy(struct peer_flic *flic);
// Puts an interrupt at the end of the list, unsorted: the list is filled in order with it.
void peer_flic_append(struct peer_flic *flic, struct peer_interrupt interrupt);
void peer_flic_enqueue(struct peer_flic *flic, struct peer_interrupt interrupt);
// Delivers the first interrupt that control register 6 lets through into a lowcore, and exchanges the PSWs; 0 if there is none.
int peer_flic_deliver(struct peer_flic *flic, uint64_t cr6, uint64_t psw[2], uint8_t *lowcore);
