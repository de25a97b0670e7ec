// Network interfaces: what linux/if_tun.h has as macros, and the calls that take a `struct ifreq`.
#pragma once

enum { APUS_INTERFACE_NAME_SIZE = 16 };

enum : unsigned {
  APUS_TAP_CSUM = 0x01,
  APUS_TAP_TSO4 = 0x02,
  APUS_TAP_TSO6 = 0x04,
  APUS_TAP_TSO_ECN = 0x08,
  APUS_TAP_UFO = 0x10,
  // Linux 6.2 and later; older headers do not have them.
  APUS_TAP_USO4 = 0x20,
  APUS_TAP_USO6 = 0x40,
};

// Attaches a descriptor of /dev/net/tun to the tap interface `name`, which is made if it is not there
// (TUNSETIFF), with a virtio header before each frame. `name` may be a pattern; `actual`, with room for
// APUS_INTERFACE_NAME_SIZE bytes, takes what it became.
int apus_tap_attach(int fd, const char *name, int is_multi_queue, char *actual);
// Which interface a descriptor is attached to (TUNGETIFF), and whether it is a tap one with a virtio header.
int apus_tap_query(int fd, char *name, int *is_tap, int *has_header, int *is_multi_queue);
// What may come from the interface without having been segmented and checksummed first (TUNSETOFFLOAD).
int apus_tap_set_offload(int fd, unsigned offload);
// The length of the header before each frame (TUNSETVNETHDRSZ).
int apus_tap_set_header_size(int fd, int size);
// Puts the header's fields in little-endian order, whatever the host's (TUNSETVNETLE).
int apus_tap_set_little_endian(int fd);
// Whether the queue takes part (TUNSETQUEUE).
int apus_tap_set_attached(int fd, int is_attached);
int apus_interface_get_mtu(const char *name, int *mtu);
int apus_interface_set_mtu(const char *name, int mtu);
// Whether the interface is up.
int apus_interface_is_up(const char *name, int *is_up);
int apus_interface_set_up(const char *name);
