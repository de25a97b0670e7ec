#include "CNBD.h"

#include <dlfcn.h>
#include <errno.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/types.h>

// Every function of libnbd that is used, under its own name without the prefix.
#define FUNCTIONS(F)                                                                            \
  F(create) F(close) F(get_error) F(get_errno) F(set_export_name) F(set_pread_initialize)       \
  F(set_uri_allow_local_file)                                                                   \
  F(aio_connect_uri) F(aio_connect_socket) F(aio_is_dead) F(aio_is_closed) F(aio_is_connecting)   \
  F(aio_disconnect) F(poll)                                                                     \
  F(get_size) F(get_block_size) F(is_read_only) F(can_flush) F(can_fua) F(can_trim) F(can_zero) \
  F(can_multi_conn) F(aio_pread) F(aio_pwrite) F(aio_flush) F(aio_trim) F(aio_zero)             \
  F(aio_get_fd) F(aio_get_direction)

static struct {
#define DECLARE(name) __typeof__(&nbd_##name) name;
  FUNCTIONS(DECLARE)
#undef DECLARE
} library;

static const char *load_error;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *handle = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    load_error = dlerror();
    return;
  }
#define RESOLVE(name)                                                  \
  library.name = (__typeof__(library.name))dlsym(handle, "nbd_" #name); \
  if (library.name == NULL && load_error == NULL) load_error = "it has no nbd_" #name;
  FUNCTIONS(RESOLVE)
#undef RESOLVE
}

const char *apus_nbd_load(void) {
  pthread_once(&load_once, load);
  return load_error;
}

const char *apus_nbd_error(void) {
  const char *text = library.get_error();
  return text != NULL ? text : "unknown error";
}

int apus_nbd_errno(void) {
  int code = library.get_errno();
  return code != 0 ? code : EIO;
}

struct request {
  struct apus_nbd *connection;
  unsigned number;
  int error;
};

struct apus_nbd {
  struct nbd_handle *handle;
  // By number.
  struct request *requests;
  // Those that have ended and were not taken, in order: a ring, which has room for all.
  unsigned *ended;
  unsigned count, first, ended_count;
};

struct apus_nbd *apus_nbd_create(unsigned count) {
  struct apus_nbd *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  made->requests = calloc(count, sizeof *made->requests);
  made->ended = calloc(count, sizeof *made->ended);
  made->handle = library.create();
  made->count = count;
  if (made->requests == NULL || made->ended == NULL || made->handle == NULL) {
    apus_nbd_destroy(made);
    return NULL;
  }
  for (unsigned i = 0; i < count; i++) made->requests[i] = (struct request){made, i, 0};
  // What a server leaves out of an answer stays as it was in the guest's RAM, which is the guest's.
  library.set_pread_initialize(made->handle, false);
  // An address comes from whoever runs the machine: it may name a file with keys (`tls-psk-file`).
  library.set_uri_allow_local_file(made->handle, true);
  return made;
}

void apus_nbd_destroy(struct apus_nbd *connection) {
  if (connection->handle != NULL) library.close(connection->handle);
  free(connection->ended);
  free(connection->requests);
  free(connection);
}

int apus_nbd_connect_uri(struct apus_nbd *connection, const char *uri) {
  return library.aio_connect_uri(connection->handle, uri);
}

int apus_nbd_connect_socket(struct apus_nbd *connection, int socket, const char *name) {
  if (library.set_export_name(connection->handle, name) != 0) return -1;
  return library.aio_connect_socket(connection->handle, socket);
}

int apus_nbd_state(struct apus_nbd *connection) {
  if (library.aio_is_connecting(connection->handle) == 1) return 0;
  int is_lost = library.aio_is_dead(connection->handle) != 0 ||
                library.aio_is_closed(connection->handle) != 0;
  return is_lost ? -1 : 1;
}

void apus_nbd_leave(struct apus_nbd *connection) {
  // What it sends fits the socket's buffer, or the server has to find out by itself.
  library.aio_disconnect(connection->handle, 0);
}

int apus_nbd_inform(struct apus_nbd *connection, struct apus_nbd_information *information) {
  struct nbd_handle *handle = connection->handle;
  int64_t size = library.get_size(handle);
  if (size < 0) return -1;
  int64_t minimum = library.get_block_size(handle, LIBNBD_SIZE_MINIMUM);
  int64_t maximum = library.get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
  *information = (struct apus_nbd_information){
      .size = (uint64_t)size,
      .minimum_block = minimum > 0 ? (uint64_t)minimum : 0,
      .maximum_block = maximum > 0 ? (uint64_t)maximum : 0,
      .is_read_only = library.is_read_only(handle) == 1,
      .can_flush = library.can_flush(handle) == 1,
      .can_force = library.can_fua(handle) == 1,
      .can_trim = library.can_trim(handle) == 1,
      .can_zero = library.can_zero(handle) == 1,
      .can_share = library.can_multi_conn(handle) == 1,
  };
  return 0;
}

static int note_end(void *data, int *error) {
  struct request *request = data;
  struct apus_nbd *connection = request->connection;
  request->error = *error;
  unsigned place = (connection->first + connection->ended_count) % connection->count;
  connection->ended[place] = request->number;
  connection->ended_count++;
  // The library need not remember it.
  return 1;
}

static nbd_completion_callback end_of(struct apus_nbd *connection, unsigned number) {
  return (nbd_completion_callback){.callback = note_end, .user_data = &connection->requests[number]};
}

int apus_nbd_read(struct apus_nbd *connection, void *bytes, size_t count, uint64_t offset,
                  unsigned number) {
  return library.aio_pread(connection->handle, bytes, count, offset, end_of(connection, number), 0) <
                 0
             ? -1
             : 0;
}

int apus_nbd_write(struct apus_nbd *connection, const void *bytes, size_t count, uint64_t offset,
                   int force, unsigned number) {
  uint32_t flags = force ? LIBNBD_CMD_FLAG_FUA : 0;
  return library.aio_pwrite(connection->handle, bytes, count, offset, end_of(connection, number),
                            flags) < 0
             ? -1
             : 0;
}

int apus_nbd_flush(struct apus_nbd *connection, unsigned number) {
  return library.aio_flush(connection->handle, end_of(connection, number), 0) < 0 ? -1 : 0;
}

int apus_nbd_trim(struct apus_nbd *connection, uint64_t count, uint64_t offset, unsigned number) {
  return library.aio_trim(connection->handle, count, offset, end_of(connection, number), 0) < 0 ? -1
                                                                                                : 0;
}

int apus_nbd_zero(struct apus_nbd *connection, uint64_t count, uint64_t offset, int keep,
                  unsigned number) {
  uint32_t flags = keep ? LIBNBD_CMD_FLAG_NO_HOLE : 0;
  return library.aio_zero(connection->handle, count, offset, end_of(connection, number), flags) < 0
             ? -1
             : 0;
}

int apus_nbd_descriptor(struct apus_nbd *connection) {
  return library.aio_get_fd(connection->handle);
}

unsigned apus_nbd_direction(struct apus_nbd *connection) {
  return library.aio_get_direction(connection->handle);
}

int apus_nbd_move(struct apus_nbd *connection, int timeout) {
  // A bounded number, so that a fast server does not keep the thread.
  for (int turn = 0; turn < 64; turn++) {
    int result = library.poll(connection->handle, turn > 0 ? 0 : timeout);
    if (result < 0) return -1;
    if (result == 0) return turn > 0;
  }
  return 2;
}

int apus_nbd_take(struct apus_nbd *connection, unsigned *number, int *error) {
  if (connection->ended_count == 0) return 0;
  *number = connection->ended[connection->first];
  *error = connection->requests[*number].error;
  connection->first = (connection->first + 1) % connection->count;
  connection->ended_count--;
  return 1;
}
