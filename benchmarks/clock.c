/* A clock that is ahead of the machine's by as many seconds as the file MOVED_CLOCK says (8 bytes, mapped), to be
   preloaded by a Redis. Monotonic clocks, by which Redis schedules, stay what they are.

   libfaketime, which `year.py` uses, either takes a second to notice that it was moved, which `aged.py` does 10,800
   times, or reads a file each time it is asked; Redis asks twice for each command. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*machines)(clockid_t, struct timespec *);
static const volatile int64_t *ahead;

__attribute__((constructor)) static void start(void) {
    machines = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int file = open(getenv("MOVED_CLOCK"), O_RDONLY);
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (!machines || mapped == MAP_FAILED) _exit(1);
    ahead = mapped;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = machines(which, now);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *also) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (also) *also = now.tv_sec;
    return now.tv_sec;
}
