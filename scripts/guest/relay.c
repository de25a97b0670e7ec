// relay: carries standard input to a socket, and what comes from the socket to standard output, until both have ended. For tests of
// sockets between guest and host, on both sides.
//
//   relay vsock CID PORT [echo]         connect to a port of a context
//   relay vsock-listen PORT [echo]      wait for one connection to a port
//   relay unix PATH [PORT] [echo]       connect to a unix socket; with PORT, ask there for that port of the guest
//   relay unix-listen PATH [echo]       wait for one connection to a unix socket
//
// With `echo`, what comes from the socket goes back to it.

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

// One direction: a buffer, and whether its source has ended.
struct way {
  int from, to;
  char bytes[65536];
  size_t start, end;
  int ended, closed;
};

static void advance(struct way *way, short from_events, short to_events) {
  if (way->start == way->end && !way->ended && from_events) {
    ssize_t size = read(way->from, way->bytes, sizeof way->bytes);
    if (size < 0 && errno != EAGAIN) fail("read");
    if (size == 0) way->ended = 1;
    way->start = 0;
    way->end = size > 0 ? (size_t)size : 0;
  }
  if (way->start < way->end && to_events) {
    ssize_t size = write(way->to, way->bytes + way->start, way->end - way->start);
    if (size < 0 && errno != EAGAIN) fail("write");
    if (size > 0) way->start += (size_t)size;
  }
  if (way->ended && way->start == way->end && !way->closed) {
    way->closed = 1;
    if (way->to != STDOUT_FILENO && shutdown(way->to, SHUT_WR) != 0) fail("shutdown");
  }
}

static void carry(int socket, int echo) {
  static struct way out, in;
  out.from = echo ? socket : STDIN_FILENO;
  out.to = socket;
  in.from = socket;
  in.to = STDOUT_FILENO;
  in.closed = echo;
  fcntl(socket, F_SETFL, O_NONBLOCK);
  while (!out.closed || !in.closed) {
    struct pollfd list[4] = {
        {.fd = out.start == out.end && !out.ended ? out.from : -1, .events = POLLIN},
        {.fd = out.start < out.end ? out.to : -1, .events = POLLOUT},
        {.fd = !echo && in.start == in.end && !in.ended ? in.from : -1, .events = POLLIN},
        {.fd = !echo && in.start < in.end ? in.to : -1, .events = POLLOUT},
    };
    if (poll(list, 4, -1) < 0) fail("poll");
    advance(&out, list[0].revents, list[1].revents);
    if (!echo) advance(&in, list[2].revents, list[3].revents);
  }
}

static int open_vsock(unsigned cid, unsigned port, int listens) {
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = listens ? VMADDR_CID_ANY : cid, .svm_port = port};
  int number = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (number < 0) fail("socket");
  if (!listens && connect(number, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  if (listens && (bind(number, (struct sockaddr *)&address, sizeof address) != 0 || listen(number, 1) != 0)) fail("listen");
  return number;
}

static int open_unix(const char *path, int listens) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int number = socket(AF_UNIX, SOCK_STREAM, 0);
  if (number < 0 || strlen(path) >= sizeof address.sun_path) fail("socket");
  strcpy(address.sun_path, path);
  if (!listens && connect(number, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  if (listens && (bind(number, (struct sockaddr *)&address, sizeof address) != 0 || listen(number, 1) != 0)) fail("listen");
  return number;
}

static int take(int listener) {
  int number = accept(listener, NULL, NULL);
  if (number < 0) fail("accept");
  close(listener);
  return number;
}

// The line that a monitor wants, and its answer.
static void ask(int number, const char *port) {
  char line[64], byte = 0;
  int size = snprintf(line, sizeof line, "CONNECT %s\n", port);
  if (write(number, line, (size_t)size) != size) fail("write");
  for (size = 0; byte != '\n' && size < 32; size++) {
    if (read(number, &byte, 1) != 1) fail("no answer");
    line[size] = byte;
  }
  if (strncmp(line, "OK ", 3) != 0) exit(1);
}

int main(int count, char **words) {
  int echo = count > 1 && strcmp(words[count - 1], "echo") == 0;
  const char *kind = count > 2 ? words[1] : "";
  count -= echo;
  if (strcmp(kind, "vsock") == 0 && count == 4) {
    carry(open_vsock((unsigned)atoi(words[2]), (unsigned)atoi(words[3]), 0), echo);
  } else if (strcmp(kind, "vsock-listen") == 0 && count == 3) {
    carry(take(open_vsock(0, (unsigned)atoi(words[2]), 1)), echo);
  } else if (strcmp(kind, "unix") == 0 && (count == 3 || count == 4)) {
    int number = open_unix(words[2], 0);
    if (count == 4) ask(number, words[3]);
    carry(number, echo);
  } else if (strcmp(kind, "unix-listen") == 0 && count == 3) {
    carry(take(open_unix(words[2], 1)), echo);
  } else {
    fprintf(stderr, "usage: relay vsock CID PORT | vsock-listen PORT | unix PATH [PORT] | unix-listen PATH, each with [echo]\n");
    return 2;
  }
  return 0;
}
