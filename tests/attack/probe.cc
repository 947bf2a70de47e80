// The attacker, run inside a compartment by the attack tests and, to show that each attack is real, outside of
// one. `attack_probe ACT [ARGUMENT...]` prints one line: "DONE ..." when the act succeeded, "DENIED <errno>" when
// the kernel refused it. Uses nothing but the C library.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace {

int Say(const char* format, long value = 0) {
  printf(format, value);
  printf("\n");
  fflush(stdout);
  return 0;
}

int Result(long outcome) {
  return outcome < 0 ? Say("DENIED %ld", errno) : Say("DONE %ld", outcome);
}

sockaddr_in Loopback(const char* port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

const sockaddr* Raw(const void* address) {
  return static_cast<const sockaddr*>(address);
}

int Connect(const char* port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(port);
  return Result(fd < 0 ? -1 : connect(fd, Raw(&address), sizeof address));
}

// The same by the calls that take a message.
int FastOpenMessage(const char* port, bool many) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(port);
  char letter = 'x';
  iovec part = {&letter, 1};
  mmsghdr message = {};
  message.msg_hdr.msg_name = &address;
  message.msg_hdr.msg_namelen = sizeof address;
  message.msg_hdr.msg_iov = &part;
  message.msg_hdr.msg_iovlen = 1;
  if (fd < 0) return Result(-1);
  return Result(many ? sendmmsg(fd, &message, 1, MSG_FASTOPEN) : sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN));
}

int FastOpen(const char* port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(port);
  return Result(fd < 0 ? -1 : sendto(fd, "x", 1, MSG_FASTOPEN, Raw(&address), sizeof address));
}

int Bind(const char* port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = Loopback(port);
  return Result(fd < 0 || bind(fd, Raw(&address), sizeof address) < 0 ? -1 : listen(fd, 8));
}

// Without bind(2), which Landlock watches: the kernel chooses the port.
int ListenUnbound() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  return Result(fd < 0 ? -1 : listen(fd, 8));
}

int Datagram(const char* port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in address = Loopback(port);
  return Result(fd < 0 ? -1 : sendto(fd, "stolen", 6, 0, Raw(&address), sizeof address));
}

// "@name" is an abstract address.
int Unix(const char* path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  socklen_t size = sizeof address;
  if (path[0] == '@') {
    address.sun_path[0] = '\0';
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + strlen(path));
  }
  return Result(fd < 0 ? -1 : connect(fd, Raw(&address), size));
}

int ReadFile(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  char text[4096] = {};
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) return Result(-1);
  for (char* c = text; *c != '\0'; ++c) *c = *c == '\n' ? ' ' : *c;
  printf("DONE %s\n", text);
  return 0;
}

int WriteFile(const char* path) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  return Result(fd < 0 ? -1 : write(fd, "x", 1));
}

int Memory(const char* pid, const char* address) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/mem", pid);
  const int fd = open(path, O_RDONLY);
  char text[64] = {};
  if (fd < 0 || pread(fd, text, sizeof text - 1, static_cast<off_t>(strtoull(address, nullptr, 16))) < 0)
    return Result(-1);
  printf("DONE %s\n", text);
  return 0;
}

int ReadOther(const char* pid, const char* address) {
  char text[64] = {};
  iovec mine = {text, sizeof text - 1};
  iovec other = {reinterpret_cast<void*>(strtoull(address, nullptr, 16)), sizeof text - 1};
  return Result(process_vm_readv(atoi(pid), &mine, 1, &other, 1, 0));
}

// A victim: says its process id and where its secret is, and waits.
int Wait() {
  static char secret[] = "secret-of-the-victim";
  // Yama's ptrace_scope is not what is tested.
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  printf("READY %d %lx\n", getpid(), reinterpret_cast<unsigned long>(secret));
  fflush(stdout);
  for (;;) pause();
}

int Allocate(const char* mebibytes) {
  const size_t size = strtoull(mebibytes, nullptr, 10) << 20U;
  char* const memory =
      static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) return Result(-1);
  for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
  return Result(0);
}

int ForkMany(const char* most) {
  for (int i = 0; i < atoi(most); ++i) {
    const pid_t pid = fork();
    if (pid < 0) return Say("DENIED after %ld", i);
    if (pid == 0) {
      for (;;) pause();
    }
  }
  return Say("DONE %ld", 0);
}

int Fill(const char* mebibytes) {
  const char* const folder = getenv("TMPDIR");
  char path[4096];
  snprintf(path, sizeof path, "%s/fill", folder != nullptr ? folder : "/tmp");
  signal(SIGXFSZ, SIG_IGN);
  const int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd < 0) return Result(-1);
  static char block[1 << 20];
  for (int i = 0; i < atoi(mebibytes); ++i) {
    if (write(fd, block, sizeof block) != static_cast<ssize_t>(sizeof block)) return Result(-1);
  }
  return Result(0);
}

int PushInput() {
  char letter = 'x';
  return Result(ioctl(0, TIOCSTI, &letter));
}

// TIOCLINUX 3, paste the selection: input of a virtual console, as ioctl_console(2) has it.
int PasteInput() {
  char command = 3;
  return Result(ioctl(0, TIOCLINUX, &command));
}

// A 32-bit system call from 64-bit code: getpid is 20 there, and 39 (mkdir) is something else again.
int ForeignCall() {
#if defined(__x86_64__)
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
  return Result(result > 0 ? 0 : -1);
#else
  return Result(-1);
#endif
}

// Everything that a process has of who started it, but for its environment.
int Inherited() {
  printf("DONE fds");
  for (int fd = 0; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) printf(" %d", fd);
  }
  const mode_t mask = umask(0);
  printf(", umask %03o, groups %d, session %s\n", mask, getgroups(0, nullptr),
         getsid(0) == getpid() ? "own" : "other's");
  return 0;
}

// Takes what a process needs from another one of the same user: "p" is the parent, the shim.
int Take(const char* what, const char* whose) {
  const pid_t pid = whose[0] == 'p' ? getppid() : atoi(whose);
  const rlimit none = {0, 0};
  cpu_set_t one = {};
  CPU_SET(0, &one);
  const sched_param no_priority = {};
  uint64_t attributes[6] = {sizeof attributes | (static_cast<uint64_t>(SCHED_IDLE) << 32U)};
  if (strcmp(what, "limit") == 0) return Result(prlimit(pid, RLIMIT_NOFILE, &none, nullptr));
  if (strcmp(what, "affinity") == 0) return Result(sched_setaffinity(pid, sizeof one, &one));
  if (strcmp(what, "scheduler") == 0) return Result(sched_setscheduler(pid, SCHED_IDLE, &no_priority));
  if (strcmp(what, "parameters") == 0) return Result(sched_setparam(pid, &no_priority));
  if (strcmp(what, "attributes") == 0) return Result(syscall(SYS_sched_setattr, pid, attributes, 0));
  if (strcmp(what, "priority") == 0) return Result(setpriority(PRIO_PROCESS, static_cast<id_t>(pid), 19));
  if (strcmp(what, "user-priority") == 0) return Result(setpriority(PRIO_USER, 0, 19));
  return Result(syscall(SYS_ioprio_set, 1, pid, 3 << 13));
}

// A signal that no call of the kill family sends: of a descriptor that became readable.
int KillByDescriptor(const char* pid) {
  int ends[2] = {};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || fcntl(ends[0], F_SETOWN, atoi(pid)) != 0 ||
      fcntl(ends[0], F_SETSIG, SIGKILL) != 0 || fcntl(ends[0], F_SETFL, O_ASYNC) != 0)
    return Result(-1);
  return Result(write(ends[1], "x", 1));
}

int Limit(const char* resource) {
  rlimit limit = {};
  getrlimit(static_cast<__rlimit_resource_t>(atoi(resource)), &limit);
  return Say("DONE %ld", static_cast<long>(limit.rlim_max));
}

int OpenMany(const char* most) {
  for (int i = 0; i < atoi(most); ++i) {
    if (open("/dev/null", O_RDONLY) < 0) return Say("DENIED %ld", errno);
  }
  return Say("DONE %ld", atoi(most));
}

int Socket(const char* family, const char* type, const char* protocol) {
  return Result(socket(atoi(family), atoi(type), atoi(protocol)) < 0 ? -1 : 0);
}

// How much of a processor it got, in percent of that time.
int Spin(const char* milliseconds) {
  const auto now = [](clockid_t clock) {
    timespec time = {};
    clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000L + time.tv_nsec / 1000;
  };
  const long begin = now(CLOCK_MONOTONIC);
  const long used = now(CLOCK_PROCESS_CPUTIME_ID);
  while (now(CLOCK_MONOTONIC) - begin < atol(milliseconds) * 1000) {
  }
  return Say("DONE %ld", (now(CLOCK_PROCESS_CPUTIME_ID) - used) * 100 / (now(CLOCK_MONOTONIC) - begin));
}

// A device of its own making: /dev/mem.
int MakeDevice(const char* path) {
  return Result(mknodat(AT_FDCWD, path, S_IFCHR | 0600, makedev(1, 1)));
}

int Ids() {
  printf("DONE %d %d\n", getuid(), geteuid());
  return 0;
}

int Exec(char** argv) {
  execv(argv[0], argv);
  return Result(-1);
}

int SetUid(const char* uid) {
  return Result(setresuid(static_cast<uid_t>(atoi(uid)), static_cast<uid_t>(atoi(uid)), static_cast<uid_t>(atoi(uid))));
}

int Capabilities() {
  FILE* const file = fopen("/proc/self/status", "r");
  char line[256];
  printf("DONE");
  while (file != nullptr && fgets(line, sizeof line, file) != nullptr) {
    if (strncmp(line, "Cap", 3) == 0) printf(" %.*s", static_cast<int>(strcspn(line, "\n")), line);
  }
  printf("\n");
  return 0;
}

// Says what reaches it: accepts, prints what came, answers with the same.
int Serve(const char* port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = Loopback(port);
  if (bind(fd, Raw(&address), sizeof address) != 0 || listen(fd, 8) != 0) return Result(-1);
  for (;;) {
    const int client = accept(fd, nullptr, nullptr);
    Say("REACHED");
    char text[256];
    const ssize_t size = read(client, text, sizeof text);
    if (size > 0) write(client, text, static_cast<size_t>(size));
    close(client);
  }
}

// A call by number, with arguments that can do no harm where it is let through.
int Call(const char* number) {
  return Result(syscall(atoi(number), -1L, 0L, -1L, -1L, 0L, 0L));
}

int NewUserNamespace() {
  return Result(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

}  // namespace

int main(int argc, char** argv) {
  const char* const act = argc > 1 ? argv[1] : "";
  const char* const first = argc > 2 ? argv[2] : "";
  const char* const second = argc > 3 ? argv[3] : "";
  const auto is = [&](const char* name) { return strcmp(act, name) == 0; };
  if (is("wait")) return Wait();
  if (is("serve")) return Serve(first);
  if (is("ptrace")) return Result(ptrace(PTRACE_SEIZE, atoi(first), nullptr, nullptr));
  if (is("process-vm-readv")) return ReadOther(first, second);
  if (is("memory")) return Memory(first, second);
  if (is("kill"))
    return Result(kill(first[0] == 'p' ? getppid() : atoi(first), second[0] != '\0' ? atoi(second) : SIGKILL));
  if (is("kill-self")) return Result(kill(getpid(), 0));
  if (is("read")) return ReadFile(first);
  if (is("write")) return WriteFile(first);
  if (is("connect")) return Connect(first);
  if (is("fastopen")) return FastOpen(first);
  if (is("fastopen-sendmsg")) return FastOpenMessage(first, false);
  if (is("fastopen-sendmmsg")) return FastOpenMessage(first, true);
  if (is("inherited")) return Inherited();
  if (is("limit")) return Limit(first);
  if (is("take")) return Take(first, second);
  if (is("kill-by-descriptor")) return KillByDescriptor(first);
  if (is("spin")) return Spin(first);
  if (is("open-many")) return OpenMany(first);
  if (is("socket")) return Socket(first, second, argc > 4 ? argv[4] : "0");
  if (is("make-device")) return MakeDevice(first);
  if (is("personality")) return Result(personality(strtoul(first, nullptr, 16)));
  if (is("tioclinux")) return PasteInput();
  if (is("bind")) return Bind(first);
  if (is("listen-unbound")) return ListenUnbound();
  if (is("datagram")) return Datagram(first);
  if (is("unix")) return Unix(first);
  if (is("allocate")) return Allocate(first);
  if (is("fork-many")) return ForkMany(first);
  if (is("fill")) return Fill(first);
  if (is("tiocsti")) return PushInput();
  if (is("foreign-call")) return ForeignCall();
  if (is("ids")) return Ids();
  if (is("exec")) return Exec(argv + 2);
  if (is("setuid")) return SetUid(first);
  if (is("capabilities")) return Capabilities();
  if (is("call")) return Call(first);
  if (is("new-user-namespace")) return NewUserNamespace();
  if (is("chmod")) return Result(chmod(first, 0777));
  if (is("shmget")) return Result(syscall(SYS_shmget, atoi(first), 4096L, 0L));
  fprintf(stderr, "attack_probe: no act \"%s\"\n", act);
  return 2;
}
