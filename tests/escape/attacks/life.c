// Living longer than allowed: daemons, and processes that no time limit ends.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void Stay(void) { nanosleep(&(struct timespec){30, 0}, NULL); }

// Runs `prepare` in an orphan with a session of its own, and stays there. Returns in the parent, when it is up.
static void Daemon(void (*prepare)(void)) {
  int ready[2];
  if (!Step("pipe", pipe(ready))) return;
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    if (fork() == 0) {
      if (prepare != NULL) prepare();
      if (write(ready[1], "x", 1) < 0 && prepare == NULL) _exit(1);
      close(ready[1]);
      Stay();
      _exit(0);
    }
    _exit(0);
  }
  if (!Step("fork", pid)) return;
  waitpid(pid, NULL, 0);
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) < 0) return;
}

static void KeepsPipes(void) { Daemon(NULL); }
static void CloseAll(void) { syscall(SYS_close_range, 0, ~0U, 0); }
static void ClosesAll(void) { Daemon(CloseAll); }
static void ForgetParent(void) { prctl(PR_SET_PDEATHSIG, 0); }
static void ForgetsParent(void) { Daemon(ForgetParent); }

static void IgnoreAll(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  for (int number = 1; number < 65; ++number) signal(number, SIG_IGN);
}
static void IgnoringDaemon(void) { Daemon(IgnoreAll); }

static void Subreaper(void) {
  // Orphans below it come to it, not to whoever looks after the tree.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (fork() == 0) {
    if (fork() == 0) {
      setsid();
      Stay();
    }
    _exit(0);
  }
  wait(NULL);
}
static void SubreaperDaemon(void) { Daemon(Subreaper); }

static void StoppedChild(void) {
  if (fork() == 0) {
    setsid();
    raise(SIGSTOP);
    Stay();
    _exit(0);
  }
}
static void StoppedDaemon(void) { Daemon(StoppedChild); }

static void* Thread(void* unused) {
  Stay();
  return unused;
}
static void LeaderEnds(void) {
  // The first thread ends, which makes a zombie of the process, and another goes on.
  pthread_t thread;
  if (fork() == 0) {
    setsid();
    if (pthread_create(&thread, NULL, Thread, NULL) == 0) syscall(SYS_exit, 0);
    _exit(0);
  }
}

static void Chain(void) {
  // A chain of sessions and parents.
  for (int i = 0; i < 10; ++i) {
    if (fork() != 0) return;
    setsid();
  }
}
static void ChainDaemon(void) { Daemon(Chain); }

static void Sleeps(void) { Stay(); }
static void StopsItself(void) {
  raise(SIGSTOP);
  Stay();
}
static void StopsGroup(void) {
  kill(0, SIGSTOP);
  Stay();
}
static void IgnoresSignals(void) {
  IgnoreAll();
  Stay();
}
static void OnTerm(int number) { (void)number; }
static void CatchesTerm(void) {
  for (int number = 1; number < 65; ++number) signal(number, OnTerm);
  for (;;) pause();
}
static void Blocks(void) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "/tmp/fifo-%s", Nonce());
  if (!Step("mkfifo", mkfifo(path, 0600))) return;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  Report("open", fd);
}
static void BlocksInLock(void) {
  // One of two who want the same lock, by descriptors of their own, waits for the other.
  char path[PATH_MAX];
  snprintf(path, sizeof path, "/tmp/lock-%s", Nonce());
  const int first = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const int second = open(path, O_RDWR | O_CLOEXEC);
  unlink(path);
  if (Step("open", first) && Step("open", second) && Step("flock", flock(first, LOCK_EX))) flock(second, LOCK_EX);
}
static void BlocksInVfork(void) {
  // The parent waits where no signal but KILL gets through, for a child that does not exec. vfork(2).
  if (vfork() == 0) {
    Stay();
    _exit(0);
  }
}
static void DefersExit(void) {
  // The first process ends, and the result waits for its pipes, which another holds.
  if (fork() == 0) {
    setsid();
    Stay();
  }
}

const struct Attack kLife[] = {
    {"daemon", KeepsPipes, kSurvivor, kAnywhere, "leaves a daemon that holds the pipes", "pid namespace", NULL, NULL},
    {"daemon-closed", ClosesAll, kSurvivor, kAnywhere, "leaves a daemon without descriptors", "pid namespace", NULL, NULL},
    {"daemon-pdeathsig", ForgetsParent, kSurvivor, kAnywhere, "leaves a daemon that clears its parent-death signal", "pid namespace", NULL, NULL},
    {"daemon-ignoring", IgnoringDaemon, kSurvivor, kAnywhere, "leaves a daemon that ignores all signals", "pid namespace", NULL, NULL},
    {"daemon-subreaper", SubreaperDaemon, kSurvivor, kAnywhere, "leaves a daemon that keeps its orphans", "pid namespace", NULL, NULL},
    {"daemon-stopped", StoppedDaemon, kSurvivor, kAnywhere, "leaves a daemon that is stopped", "pid namespace", NULL, NULL},
    {"daemon-leaderless", LeaderEnds, kSurvivor, kAnywhere, "leaves a process whose first thread has ended", "pid namespace", NULL, NULL},
    {"daemon-chain", ChainDaemon, kSurvivor, kAnywhere, "leaves a chain of sessions", "pid namespace", NULL, NULL},
    {"daemon-holds-end", DefersExit, kSurvivor, kAnywhere, "ends, and leaves a child that holds the pipes", "pid namespace", NULL, NULL},
    {"sleeps", Sleeps, kTime, kAnywhere, "sleeps", "wall time limit", NULL, "--wall-time 500ms"},
    {"stops-itself", StopsItself, kTime, kAnywhere, "stops itself", "wall time limit", NULL, "--wall-time 500ms"},
    {"stops-group", StopsGroup, kTime, kAnywhere, "stops its process group", "wall time limit", NULL, "--wall-time 500ms"},
    {"ignores-signals", IgnoresSignals, kTime, kAnywhere, "ignores and blocks all signals", "wall time limit", NULL, "--wall-time 500ms"},
    {"catches-signals", CatchesTerm, kTime, kAnywhere, "catches all signals and goes on", "wall time limit", NULL, "--wall-time 500ms"},
    {"blocks-in-fifo", Blocks, kTime, kAnywhere, "waits for the other end of a FIFO", "wall time limit", NULL, "--wall-time 500ms"},
    {"blocks-in-lock", BlocksInLock, kTime, kAnywhere, "waits for a lock that nobody gives back", "wall time limit", NULL, "--wall-time 500ms"},
    {"blocks-in-vfork", BlocksInVfork, kTime, kAnywhere, "waits for a vfork child that does not exec", "wall time limit", NULL, "--wall-time 500ms"},
    {0}};
