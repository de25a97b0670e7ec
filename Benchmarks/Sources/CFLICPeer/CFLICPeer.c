#include "CFLICPeer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct node {
  struct node *next;
  struct node *previous;
  struct peer_interrupt interrupt;
};

struct peer_flic {
  pthread_mutex_t lock;
  struct node head;
};

struct peer_flic *peer_flic_create(void) {
  struct peer_flic *flic = malloc(sizeof *flic);
  if (!flic) abort();
  pthread_mutex_init(&flic->lock, NULL);
  flic->head.next = flic->head.previous = &flic->head;
  return flic;
}

void peer_flic_destroy(struct peer_flic *flic) {
  for (struct node *node = flic->head.next; node != &flic->head;) {
    struct node *next = node->next;
    free(node);
    node = next;
  }
  pthread_mutex_destroy(&flic->lock);
  free(flic);
}

static unsigned isc(const struct node *node) { return node->interrupt.word >> 27 & 7; }

static struct node *make_node(struct peer_interrupt interrupt) {
  struct node *node = malloc(sizeof *node);
  if (!node) abort();
  node->interrupt = interrupt;
  return node;
}

static void insert_before(struct node *node, struct node *place) {
  node->next = place;
  node->previous = place->previous;
  place->previous->next = node;
  place->previous = node;
}

void peer_flic_append(struct peer_flic *flic, struct peer_interrupt interrupt) {
  insert_before(make_node(interrupt), &flic->head);
}

void peer_flic_enqueue(struct peer_flic *flic, struct peer_interrupt interrupt) {
  struct node *node = make_node(interrupt);
  pthread_mutex_lock(&flic->lock);
  struct node *place = flic->head.next;
  while (place != &flic->head && isc(place) <= isc(node)) place = place->next;
  insert_before(node, place);
  pthread_mutex_unlock(&flic->lock);
}

static void store16(uint8_t *at, uint16_t value) {
  value = __builtin_bswap16(value);
  memcpy(at, &value, sizeof value);
}

static void store32(uint8_t *at, uint32_t value) {
  value = __builtin_bswap32(value);
  memcpy(at, &value, sizeof value);
}

static void store64(uint8_t *at, uint64_t value) {
  value = __builtin_bswap64(value);
  memcpy(at, &value, sizeof value);
}

static uint64_t load64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return __builtin_bswap64(value);
}

int peer_flic_deliver(struct peer_flic *flic, uint64_t cr6, uint64_t psw[2], uint8_t *lowcore) {
  if (!(psw[0] & 1ull << 57)) return 0;
  pthread_mutex_lock(&flic->lock);
  struct node *node = flic->head.next;
  while (node != &flic->head && !(cr6 & 0x80000000u >> isc(node))) node = node->next;
  if (node == &flic->head) {
    pthread_mutex_unlock(&flic->lock);
    return 0;
  }
  node->previous->next = node->next;
  node->next->previous = node->previous;
  pthread_mutex_unlock(&flic->lock);
  store16(lowcore + 0xB8, node->interrupt.subchannel_id);
  store16(lowcore + 0xBA, node->interrupt.subchannel_nr);
  store32(lowcore + 0xBC, node->interrupt.parameter);
  store32(lowcore + 0xC0, node->interrupt.word);
  store64(lowcore + 0x170, psw[0]);
  store64(lowcore + 0x178, psw[1]);
  psw[0] = load64(lowcore + 0x1F0);
  psw[1] = load64(lowcore + 0x1F8);
  free(node);
  return 1;
}
