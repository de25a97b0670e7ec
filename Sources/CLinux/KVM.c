#include "CLinux.h"

int apus_kvm_ioctl(int fd, unsigned long request, unsigned long argument) {
  return ioctl(fd, request, argument);
}

int apus_kvm_ioctl_pointer(int fd, unsigned long request, void *argument) {
  return ioctl(fd, request, argument);
}
