#define _GNU_SOURCE 1
#include "CLinux.h"

enum { limit = 64 };

ssize_t apus_receive(int socket, void *bytes, size_t count, int *descriptors, int capacity,
                     int *received, int *lost) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(limit * sizeof(int))];
  } control;
  struct iovec vector = {bytes, count};
  struct msghdr message = {
      .msg_iov = &vector,
      .msg_iovlen = 1,
      .msg_control = &control,
      .msg_controllen = sizeof control,
  };
  *received = 0;
  *lost = 0;
  ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) return size;
  if (message.msg_flags & MSG_CTRUNC) *lost = 1;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    size_t there = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < there; i++) {
      int number;
      memcpy(&number, CMSG_DATA(item) + i * sizeof(int), sizeof(int));
      if (*received < capacity) {
        descriptors[(*received)++] = number;
      } else {
        close(number);
        *lost = 1;
      }
    }
  }
  return size;
}

ssize_t apus_send(int socket, const void *bytes, size_t count, const int *descriptors, int sent) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(limit * sizeof(int))];
  } control;
  struct iovec vector = {(void *)bytes, count};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (sent > limit) {
    errno = EINVAL;
    return -1;
  }
  if (sent > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE((size_t)sent * sizeof(int));
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN((size_t)sent * sizeof(int));
    memcpy(CMSG_DATA(item), descriptors, (size_t)sent * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int apus_socket_option(int socket, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}
