// A client of the network block device protocol through libnbd, in calls that Swift can make; nothing
// else. Logic belongs in Swift.
//
// libnbd is loaded when it is first needed: it brings TLS and XML libraries, which most machines that
// run guests have no use for.
#pragma once

#include <stddef.h>
#include <stdint.h>

// A connection, which one thread uses at a time.
struct apus_nbd;

struct apus_nbd_information {
  uint64_t size;
  // What requests are multiples of, and the most bytes of one; 0 where the server does not say.
  uint64_t minimum_block, maximum_block;
  int is_read_only, can_flush, can_force, can_trim, can_zero, can_share;
};

// Loads the library, once; NULL, or why it cannot be.
const char *apus_nbd_load(void);
// Why the last call on this thread failed; the library is loaded.
const char *apus_nbd_error(void);
int apus_nbd_errno(void);

// Makes a connection for requests with the numbers below `count`; NULL if there is no memory.
struct apus_nbd *apus_nbd_create(unsigned count);
// Tells the server that it has served; for a connection with nothing under way.
void apus_nbd_leave(struct apus_nbd *connection);
// Gives up what is under way, too.
void apus_nbd_destroy(struct apus_nbd *connection);

// Begin to connect, to an export by its URI, or by its name on a connected socket; -1 if that fails at
// once. The socket is the connection's from then on.
int apus_nbd_connect_uri(struct apus_nbd *connection, const char *uri);
int apus_nbd_connect_socket(struct apus_nbd *connection, int socket, const char *name);
// Whether it is connected: 1 when it is, 0 while it connects, -1 when it has failed or is lost.
int apus_nbd_state(struct apus_nbd *connection);
// What the server says of the export; -1 if it cannot be told.
int apus_nbd_inform(struct apus_nbd *connection, struct apus_nbd_information *information);

// Begin a request that is known by `number`; -1 if that fails, and then it is not under way.
int apus_nbd_read(struct apus_nbd *connection, void *bytes, size_t count, uint64_t offset,
                  unsigned number);
// `force` has it on stable storage when it ends.
int apus_nbd_write(struct apus_nbd *connection, const void *bytes, size_t count, uint64_t offset,
                   int force, unsigned number);
int apus_nbd_flush(struct apus_nbd *connection, unsigned number);
int apus_nbd_trim(struct apus_nbd *connection, uint64_t count, uint64_t offset, unsigned number);
int apus_nbd_zero(struct apus_nbd *connection, uint64_t count, uint64_t offset, int keep,
                  unsigned number);

int apus_nbd_descriptor(struct apus_nbd *connection);
// What the descriptor is waited for: bit 0 to read, bit 1 to write.
unsigned apus_nbd_direction(struct apus_nbd *connection);
// Sends and receives what there is, waiting at most so many milliseconds for the first of it; 1 if there
// was some, 2 if there may be more, 0 if there was none, -1 if the connection is lost.
int apus_nbd_move(struct apus_nbd *connection, int timeout);
// Takes a request that has ended, with its errno or 0; returns whether there was one.
int apus_nbd_take(struct apus_nbd *connection, unsigned *number, int *error);
