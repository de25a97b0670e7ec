// Shims for memory and sockets that are shared with other processes; part of CLinux.h.
#pragma once

#include <stdint.h>
#include <sys/types.h>

// Receives bytes, and the descriptors that came with them, close-on-exec (unix(7), SCM_RIGHTS). Of
// descriptors beyond the capacity none is kept: *lost says that there were some. Never waits.
ssize_t apus_receive(int socket, void *bytes, size_t count, int *descriptors, int capacity,
                     int *received, int *lost);
// Sends bytes, and descriptors with the first of them. Never waits, and raises no SIGPIPE.
ssize_t apus_send(int socket, const void *bytes, size_t count, const int *descriptors, int sent);
// An integer option of a socket (getsockopt(2), SOL_SOCKET), or -1 with errno.
int apus_socket_option(int socket, int option);

// The most ranges that are watched at once: as many as a peer may have us map, and some of our own.
#define APUS_WATCH_LIMIT (4096 + 1024)
// Has a fault in a mapping of another process's file, which may end before the mapping does, find
// zeroes there from then on (SIGBUS, sigaction(2)): the thread goes on, the range counts as broken,
// and the eventfd `wake` is signalled. A fault anywhere else goes to the handler that was there before.
// Returns the range's number, or -1 if there are too many.
int apus_watch_add(uintptr_t start, size_t count, size_t page, int wake);
// For a process that may not change handlers later: a fault elsewhere ends it from then on. To be called by the only thread.
void apus_watch_seal(void);
// Ends that; no thread touches the range any more.
void apus_watch_remove(int range);
int apus_watch_is_broken(int range);
