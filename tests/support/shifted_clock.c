/* Preloaded into a program, moves its wall clock, and nothing else, by the nanoseconds that the file named by
 * SHIFTED_CLOCK holds as a number of eight bytes. The file may change at any time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t* shift;

__attribute__((constructor)) static void Open(void) {
  const char* const name = getenv("SHIFTED_CLOCK");
  const int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* const map = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
  if (map != MAP_FAILED) shift = map;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, now);
  if (result != 0 || shift == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
  const int64_t at = now->tv_nsec + *shift % 1000000000 + 1000000000;
  now->tv_sec += *shift / 1000000000 + at / 1000000000 - 1;
  now->tv_nsec = at % 1000000000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  struct timespec at;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &at);
  now->tv_sec = at.tv_sec;
  now->tv_usec = at.tv_nsec / 1000;
  return 0;
}
