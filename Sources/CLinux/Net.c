#define _GNU_SOURCE 1
#include "CLinux.h"

#include <linux/if_tun.h>
#include <net/if.h>

_Static_assert(IFNAMSIZ == APUS_INTERFACE_NAME_SIZE, "the length of an interface's name");

static struct ifreq interface_request(const char *name) {
  struct ifreq request = {0};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  return request;
}

int apus_tap_attach(int fd, const char *name, int is_multi_queue, char *actual) {
  struct ifreq request = interface_request(name);
  request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (is_multi_queue ? IFF_MULTI_QUEUE : 0));
  int result = ioctl(fd, TUNSETIFF, &request);
  if (result == 0) memcpy(actual, request.ifr_name, IFNAMSIZ);
  return result;
}

int apus_tap_query(int fd, char *name, int *is_tap, int *has_header, int *is_multi_queue) {
  struct ifreq request = {0};
  int result = ioctl(fd, TUNGETIFF, &request);
  if (result != 0) return result;
  memcpy(name, request.ifr_name, IFNAMSIZ);
  name[IFNAMSIZ - 1] = 0;
  *is_tap = (request.ifr_flags & IFF_TAP) != 0;
  *has_header = (request.ifr_flags & IFF_VNET_HDR) != 0;
  *is_multi_queue = (request.ifr_flags & IFF_MULTI_QUEUE) != 0;
  return 0;
}

int apus_tap_set_offload(int fd, unsigned offload) {
  return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload);
}

int apus_tap_set_header_size(int fd, int size) { return ioctl(fd, TUNSETVNETHDRSZ, &size); }

int apus_tap_set_little_endian(int fd) {
  int yes = 1;
  return ioctl(fd, TUNSETVNETLE, &yes);
}

int apus_tap_set_attached(int fd, int is_attached) {
  struct ifreq request = {0};
  request.ifr_flags = is_attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
  return ioctl(fd, TUNSETQUEUE, &request);
}

// Any socket will do to speak about interfaces (netdevice(7)).
static int interface_call(unsigned long call, struct ifreq *request) {
  int number = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (number < 0) number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (number < 0) return -1;
  int result = ioctl(number, call, request);
  int code = errno;
  close(number);
  errno = code;
  return result;
}

int apus_interface_get_mtu(const char *name, int *mtu) {
  struct ifreq request = interface_request(name);
  int result = interface_call(SIOCGIFMTU, &request);
  if (result == 0) *mtu = request.ifr_mtu;
  return result;
}

int apus_interface_set_mtu(const char *name, int mtu) {
  struct ifreq request = interface_request(name);
  request.ifr_mtu = mtu;
  return interface_call(SIOCSIFMTU, &request);
}

int apus_interface_is_up(const char *name, int *is_up) {
  struct ifreq request = interface_request(name);
  int result = interface_call(SIOCGIFFLAGS, &request);
  if (result == 0) *is_up = (request.ifr_flags & IFF_UP) != 0;
  return result;
}

int apus_interface_set_up(const char *name) {
  struct ifreq request = interface_request(name);
  int result = interface_call(SIOCGIFFLAGS, &request);
  if (result != 0) return result;
  request.ifr_flags |= IFF_UP;
  return interface_call(SIOCSIFFLAGS, &request);
}
