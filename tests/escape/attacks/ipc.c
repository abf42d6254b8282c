// System V and POSIX communication with those outside, and keyrings.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void ReadsSharedMemory(void) {
  const char* memory = shmat((int)NumberFact("shared_memory"), NULL, SHM_RDONLY);
  if (Step("shmat", memory == (void*)-1 ? -1 : 0)) Leak(memory, 64);
}

static void WritesSharedMemory(void) {
  char* memory = shmat((int)NumberFact("shared_memory"), NULL, 0);
  if (!Step("shmat", memory == (void*)-1 ? -1 : 0)) return;
  memory[100] = 'x';
  Succeeded("write");
}

static void ChangesSemaphore(void) {
  struct sembuf add = {.sem_num = 0, .sem_op = 5, .sem_flg = IPC_NOWAIT};
  Report("semop", semop((int)NumberFact("semaphore"), &add, 1));
}

static void TakesMessage(void) {
  struct {
    long type;
    char text[64];
  } message = {0, ""};
  const ssize_t size = msgrcv((int)NumberFact("messages"), &message, sizeof message.text, 0, IPC_NOWAIT);
  if (Step("msgrcv", size)) Leak(message.text, (size_t)size);
}

static void TakesQueuedMessage(void) {
  char name[64];
  snprintf(name, sizeof name, "/brood-probe-%s", Nonce());
  const mqd_t queue = mq_open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (!Step("mq_open", queue)) return;
  char text[8192];
  const ssize_t size = mq_receive(queue, text, sizeof text, NULL);
  if (Step("mq_receive", size)) Leak(text, (size_t)size);
}

static void ReadsLaunchersKey(void) {
  // What was in the launcher's session keyring when it started.
  const long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "brood-probe", 0);
  if (!Step("search the session keyring", key)) return;
  char text[64];
  const long size = syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text);
  if (Step("read the key", size)) Leak(text, size < (long)sizeof text ? (size_t)size : sizeof text);
}

static void RequestsLaunchersKey(void) {
  const long key = syscall(SYS_request_key, "user", "brood-probe", NULL, 0);
  if (!Step("request_key", key)) return;
  char text[64];
  const long size = syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text);
  if (Step("read the key", size)) Leak(text, size < (long)sizeof text ? (size_t)size : sizeof text);
}

static void LeavesKey(void) {
  const long key = syscall(SYS_add_key, "user", Nonce(), "x", 1L, (long)KEY_SPEC_USER_KEYRING);
  Report("add_key", key);
  if (key > 0) syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
}

const struct Attack kIpc[] = {
    {"sysv-memory-read", ReadsSharedMemory, kSecret, kAnywhere, "reads System V shared memory of others", "ipc namespace", NULL, NULL},
    {"sysv-memory-write", WritesSharedMemory, kOutside, kAnywhere, "writes to System V shared memory of others", "ipc namespace", NULL, NULL},
    {"sysv-semaphore", ChangesSemaphore, kOutside, kAnywhere, "changes a System V semaphore of others", "ipc namespace", NULL, NULL},
    {"sysv-message", TakesMessage, kSecret, kAnywhere, "takes a System V message of others", "ipc namespace", NULL, NULL},
    {"posix-message", TakesQueuedMessage, kSecret, kAnywhere, "takes a message of a POSIX queue of others", "ipc namespace", NULL, NULL},
    {"session-keyring", ReadsLaunchersKey, kSecret, kMachine, "reads a key of the launcher's session", "system call filter", NULL, NULL},
    {"request-key", RequestsLaunchersKey, kSecret, kMachine, "asks the kernel for a key of the launcher", "system call filter", NULL, NULL},
    {"user-keyring", LeavesKey, kClaim, kMachine, "leaves a key in the user's keyring", "system call filter", NULL, NULL},
    {0}};
