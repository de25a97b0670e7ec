// The emulated host's first program: loads KVM, makes the user's own file system its root (read-only, by 9p), and runs one program
// there. The kernel's command line names it:
//
//   apus.agent=PATH     run `PATH emulated-host-agent`; in PATH, '%' is written %25 and a space %20
//   apus.command        run the shell script cmd.sh of the 9p export `out`, mounted on /run/out; its exit code goes to /run/out/rc
//   apus.timing         print the time since boot at each step
//
// The program sees: / of the user's machine, read-only, with /dev, /proc and /sys of the emulated host; /dev/kvm; and
// /dev/virtio-ports/NAME, one for each virtio-serial port. The agent takes its ports itself and mounts what else it needs; a
// command's standard output and error are the ports apus.stdout and apus.stderr. When the program ends, so does the emulated host.
//
// It is C, and not a shell script, because each process that a script starts costs some 40 ms under emulation.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char command_line[4096];
static int timing;

static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("emulated-host: ", stdout);
  vprintf(format, arguments);
  putchar('\n');
  fflush(stdout);
  va_end(arguments);
}

static void step(const char *name) {
  struct timespec now;
  if (!timing) return;
  clock_gettime(CLOCK_BOOTTIME, &now);
  say("%ld.%03ld s %s", (long)now.tv_sec, now.tv_nsec / 1000000, name);
}

static void power_off(void) {
  sync();
  reboot(RB_POWER_OFF);
  for (;;) pause();
}

static int attach(const char *source, const char *target, const char *type, unsigned long flags, const char *options) {
  if (mount(source, target, type, flags, options) == 0) return 0;
  say("mount of %s on %s: %s", source, target, strerror(errno));
  return -1;
}

// Reads a short file into `text`, with no newline or NUL at its end.
static int read_text(const char *path, char *text, size_t size) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t length = read(file, text, size - 1);
  close(file);
  if (length < 0) return -1;
  text[length] = 0;
  text[strcspn(text, "\n")] = 0;
  return 0;
}

static void write_text(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, text, strlen(text)) < 0) say("%s: %s", path, strerror(errno));
  if (file >= 0) close(file);
}

// The value of the word `name` on the kernel's command line: "" when it has none, NULL when the word is not there.
static char *argument(const char *name) {
  static char copy[sizeof command_line];
  static char value[sizeof command_line];
  size_t length = strlen(name);
  strcpy(copy, command_line);
  for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
    if (strncmp(word, name, length) != 0) continue;
    if (word[length] == 0) return strcpy(value, "");
    if (word[length] == '=') return strcpy(value, word + length + 1);
  }
  return NULL;
}

static void decode_percent(char *text) {
  char *out = text;
  for (char *in = text; *in; out++) {
    unsigned byte;
    if (*in == '%' && sscanf(in + 1, "%2x", &byte) == 1 && strlen(in) > 2) {
      *out = (char)byte;
      in += 3;
    } else {
      *out = *in++;
    }
  }
  *out = 0;
}

static void load_modules(void) {
  char name[128], path[160];
  FILE *order = fopen("/modules/order", "re");
  if (!order) return say("no /modules/order");
  while (fgets(name, sizeof name, order)) {
    name[strcspn(name, "\n")] = 0;
    snprintf(path, sizeof path, "/modules/%s", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0) say("module %s: %s", name, strerror(errno));
    if (file >= 0) close(file);
    step(name);
  }
  fclose(order);
}

// Links every port that has its name by now into /dev/virtio-ports; returns whether all have.
static int link_ports(void) {
  static const char folder[] = "/sys/class/virtio-ports";
  char path[512], name[128], target[300];
  int all = 1;
  DIR *ports = opendir(folder);
  struct dirent *entry;
  while (ports && (entry = readdir(ports))) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s/name", folder, entry->d_name);
    if (read_text(path, name, sizeof name) != 0 || !name[0] || strchr(name, '/')) {
      all = 0;
      continue;
    }
    snprintf(target, sizeof target, "../%s", entry->d_name);
    snprintf(path, sizeof path, "/dev/virtio-ports/%s", name);
    symlink(target, path);
  }
  if (ports) closedir(ports);
  return all;
}

// Ports get their names some time after their driver starts, in order, when all of them are known: with `name` there and
// none without a name, the list is whole.
static void wait_for_ports(const char *name) {
  char path[160];
  snprintf(path, sizeof path, "/dev/virtio-ports/%s", name);
  for (int tries = 0; tries < 1000; tries++) {
    if (link_ports() && access(path, F_OK) == 0) return;
    usleep(2000);
  }
  say("no virtio-serial port has the name %s", name);
}

static void raise_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int file = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (file < 0 || ioctl(file, SIOCSIFFLAGS, &request) != 0) say("loopback: %s", strerror(errno));
  if (file >= 0) close(file);
}

static void redirect(int descriptor, const char *path, int flags) {
  int file = open(path, flags);
  if (file < 0) return;
  dup2(file, descriptor);
  if (file != descriptor) close(file);
}

// Runs the program with / of the user's machine as its root, writing to the given files; returns its exit code, or 128 + the
// signal that ended it.
static int run(char *const arguments[], const char *output, const char *errors) {
  static char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/", NULL};
  pid_t child = fork();
  if (child < 0) return 127;
  if (child == 0) {
    setsid();
    redirect(0, "/dev/null", O_RDONLY);
    redirect(1, output, O_WRONLY);
    redirect(2, errors, O_WRONLY);
    if (chroot("/host") == 0 && chdir("/") == 0) execve(arguments[0], arguments, environment);
    dprintf(2, "emulated-host: cannot run %s: %s\n", arguments[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
  }
  for (;;) {
    int status;
    pid_t ended = wait(&status);
    if (ended < 0 && errno != EINTR) return 127;
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

static void run_command(void) {
  char *const arguments[] = {"/bin/sh", "/run/out/cmd.sh", NULL};
  attach("run", "/host/run", "tmpfs", 0, "mode=0755");
  mkdir("/host/run/out", 0755);
  if (attach("out", "/host/run/out", "9p", 0, "trans=virtio,version=9p2000.L,msize=512000,cache=none") != 0) return;
  int code = run(arguments, "/dev/virtio-ports/apus.stdout", "/dev/virtio-ports/apus.stderr");
  FILE *file = fopen("/host/run/out/rc", "we");
  if (file) {
    fprintf(file, "%d\n", code);
    fclose(file);
  }
}

static void run_agent(char *path) {
  decode_percent(path);
  char *const arguments[] = {path, "emulated-host-agent", NULL};
  int code = run(arguments, "/dev/console", "/dev/console");
  // What the agent says to the user goes by its ports: only an end that it could not tell of is worth a line here.
  if (code != 0) say("%s emulated-host-agent ended with %d", path, code);
}

int main(void) {
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  mkdir("/host", 0755);
  attach("proc", "/proc", "proc", 0, "");
  attach("sys", "/sys", "sysfs", 0, "");
  mount("dev", "/dev", "devtmpfs", 0, "mode=0755");
  if (read_text("/proc/cmdline", command_line, sizeof command_line) != 0) say("no command line");
  timing = argument("apus.timing") != NULL;
  step("init");

  load_modules();
  // A fault of a guest costs some 60 us under emulation: shared memory may have huge pages where a program asks for them, as
  // its private memory has.
  write_text("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");

  // The machine's own files: nobody writes them here, so they may be cached. The agent mounts what is written.
  attach("host", "/host", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose");
  mkdir("/dev/shm", 01777);
  mkdir("/dev/pts", 0755);
  mkdir("/dev/virtio-ports", 0755);
  attach("shm", "/dev/shm", "tmpfs", 0, "mode=1777");
  attach("pts", "/dev/pts", "devpts", 0, "ptmxmode=0666,mode=0620");
  symlink("/proc/self/fd", "/dev/fd");
  attach("/dev", "/host/dev", NULL, MS_BIND | MS_REC, NULL);
  attach("/proc", "/host/proc", NULL, MS_BIND | MS_REC, NULL);
  attach("/sys", "/host/sys", NULL, MS_BIND | MS_REC, NULL);
  raise_loopback();
  step("mounts");

  char *agent = argument("apus.agent");
  if (agent) {
    wait_for_ports("apus.control");
    step("ready");
    run_agent(agent);
  } else if (argument("apus.command")) {
    wait_for_ports("apus.stderr");
    step("ready");
    run_command();
  } else {
    say("nothing to run: neither apus.agent nor apus.command is on the kernel's command line");
  }
  step("end");
  power_off();
}
