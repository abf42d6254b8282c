// Races: with the checks of a launcher, with its filter in other threads, and with its end.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static double Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static char g_path[PATH_MAX];
static atomic_bool g_stop;

static void* SwapPath(void* unused) {
  while (!g_stop) {
    strcpy(g_path, "/proc/self/comm");
    sched_yield();
    strcpy(g_path, Fact("secret"));
    sched_yield();
  }
  return unused;
}

static void SwapsPath(void) {
  // Whoever decides by a path in memory decides by one, and the kernel opens the other.
  pthread_t thread;
  errno = pthread_create(&thread, NULL, SwapPath, NULL);
  if (!Step("pthread_create", errno == 0 ? 0 : -1)) return;
  for (const double end = Now() + 0.3; Now() < end; sched_yield()) {
    const int fd = open(g_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    char data[64];
    const ssize_t size = read(fd, data, sizeof data);
    close(fd);
    if (size > 20) {
      Leak(data, (size_t)size);
      break;
    }
  }
  g_stop = true;
  pthread_join(thread, NULL);
}

static void SwapsSymlink(void) {
  // Another process swaps a symbolic link and a directory, while this one goes through.
  char link_path[PATH_MAX / 2], other[PATH_MAX / 2], through[PATH_MAX];
  snprintf(link_path, sizeof link_path, "/tmp/swap-%s", Nonce());
  snprintf(other, sizeof other, "/tmp/swapped-%s", Nonce());
  char hidden[PATH_MAX];
  snprintf(hidden, sizeof hidden, "%s", Fact("secret"));
  *strrchr(hidden, '/') = '\0';
  if (!Step("symlink", symlink(hidden, other)) || !Step("mkdir", mkdir(link_path, 0700))) return;
  const pid_t pid = fork();
  if (pid == 0) {
    for (const double end = Now() + 0.5; Now() < end; sched_yield()) {
      syscall(SYS_renameat2, AT_FDCWD, link_path, AT_FDCWD, other, 2);  // RENAME_EXCHANGE
    }
    _exit(0);
  }
  snprintf(through, sizeof through, "%s/secret", link_path);
  for (const double end = Now() + 0.3; Now() < end; sched_yield()) {
    const int fd = open(through, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    LeakDescriptor("read", fd);
    close(fd);
    break;
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  unlink(link_path);
  unlink(other);
  rmdir(link_path);
  rmdir(other);
}

static void* AddKey(void* unused) {
  const long key = syscall(SYS_add_key, "user", Nonce(), "x", 1L, (long)KEY_SPEC_PROCESS_KEYRING);
  if (key >= 0) Succeeded("add_key in a thread");
  return unused;
}

static void ManyThreads(void) {
  // All at once: one of them may slip by while the others are dealt with.
  pthread_t threads[16];
  int count = 0;
  while (count < 16 && pthread_create(&threads[count], NULL, AddKey, NULL) == 0) ++count;
  for (int i = 0; i < count; ++i) pthread_join(threads[i], NULL);
  Stopped("no thread could", 0);
}

static void* ExecSoon(void* unused) {
  char* argv[] = {"attack", "control", (char*)Nonce(), NULL};
  execv("/proc/self/exe", argv);
  return unused;
}

static void ExecMeanwhile(void) {
  // An exec ends all other threads, and starts with a new one.
  pthread_t thread;
  errno = pthread_create(&thread, NULL, AddKey, NULL);
  if (!Step("pthread_create", errno == 0 ? 0 : -1)) return;
  pthread_join(thread, NULL);
  ExecSoon(NULL);
}

static void InVforkChild(void) {
  // It shares the parent's memory, and the parent waits.
  const pid_t pid = vfork();
  if (pid == 0) {
    AddKey(NULL);
    _exit(0);
  }
  if (Step("vfork", pid)) waitpid(pid, NULL, 0);
}

static void InGrandchild(void) {
  // A session of its own, and a parent that is gone.
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      AddKey(NULL);
      _exit(0);
    }
    _exit(0);
  }
  wait(NULL);
  nanosleep(&(struct timespec){0, 50000000}, NULL);
}

static void OnSignal(int number) {
  (void)number;
  AddKey(NULL);
}

static void InSignalHandler(void) {
  signal(SIGUSR1, OnSignal);
  raise(SIGUSR1);
}

static void Ignore(int number) { (void)number; }

// What a supervisor is told of, and is gone before it looks.
static void InterruptedCalls(void) {
  const struct sigaction action = {.sa_handler = Ignore};  // No SA_RESTART.
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval often = {{0, 50}, {0, 50}};
  const struct itimerval never = {{0, 0}, {0, 0}};
  if (!Step("setitimer", setitimer(ITIMER_REAL, &often, NULL))) return;
  long id = -1;
  for (int i = 0; i < 500 && id < 0; ++i) id = syscall(SYS_add_key, "user", Nonce(), "x", 1L, (long)KEY_SPEC_PROCESS_KEYRING);
  const int error = errno;
  setitimer(ITIMER_REAL, &never, NULL);
  errno = error;
  Report("add_key", id);
}

static void Comet(void) {
  // Whoever looks for it finds a process that has ended already. It is fast while whoever is to end it does so, and slower
  // from then on, so that it is seen: a look through all processes takes longer than a step of the former. Longer than any grace.
  const double begin = Now();
  if (fork() != 0) return;
  setsid();
  close(STDOUT_FILENO);
  close(STDERR_FILENO);
  while (Now() < begin + 30) {
    nanosleep(&(struct timespec){0, Now() < begin + 0.2 ? 3000000 : 150000000}, NULL);
    if (fork() > 0) _exit(0);
  }
  _exit(0);
}

static void ExecsWhileEnding(void) {
  if (strcmp(Fact("again"), "yes") == 0) {
    nanosleep(&(struct timespec){30, 0}, NULL);
    return;
  }
  // What it says at its second beginning is heard by nobody, if it lives.
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < 8; ++i) {
    if (fork() != 0) continue;
    setsid();
    char* argv[] = {"attack", "exec-while-ending", (char*)Nonce(), "again=yes", NULL};
    execv("/proc/self/exe", argv);
    _exit(1);
  }
}

const struct Attack kRaces[] = {
    {"swaps-path", SwapsPath, kSecret, kAnywhere, "swaps a path while it is being opened", "no decision by paths in memory", NULL, NULL},
    {"swaps-symlink", SwapsSymlink, kSecret, kAnywhere, "swaps a directory and a symbolic link on the way", "mount namespace", NULL, NULL},
    {"many-threads", ManyThreads, kClaim, kMachine, "makes a forbidden call in many threads at once", "system call filter", NULL, NULL},
    {"exec-meanwhile", ExecMeanwhile, kClaim, kMachine, "makes a forbidden call in a thread, then execs", "system call filter", NULL, NULL},
    {"vfork-child", InVforkChild, kClaim, kMachine, "makes a forbidden call in a vfork child", "system call filter", NULL, NULL},
    {"grandchild", InGrandchild, kClaim, kMachine, "makes a forbidden call in an orphan", "system call filter", NULL, NULL},
    {"signal-handler", InSignalHandler, kClaim, kMachine, "makes a forbidden call in a signal handler", "system call filter", NULL, NULL},
    {"interrupted-call", InterruptedCalls, kClaim, kMachine, "makes a forbidden call while signals interrupt it", "system call filter", NULL, NULL},
    {"fork-comet", Comet, kSurvivor, kAnywhere, "forks and ends faster than it can be killed", "pid namespace", NULL, NULL},
    {"exec-while-ending", ExecsWhileEnding, kSurvivor, kAnywhere, "is in the middle of an exec when its parent ends", "pid namespace", NULL, NULL},
    {0}};
