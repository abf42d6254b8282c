// Hostile programs for the escape suite and for `brood probe`, one function each.
//
//   attack --list                     the table: tab-separated, one attack a line
//   attack --victim SECRET            the process outside that is attacked
//   attack NAME NONCE [FACT=VALUE]... one attack
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static const struct Family kFamilies[] = {
    {"file", kFiles},       {"shown", kShown},           {"proc", kProc},           {"device", kDevices},
    {"terminal", kTerminal}, {"process", kProcesses},     {"launcher", kLauncher},   {"network", kNetwork},
    {"ipc", kIpc},          {"privilege", kPrivileges},  {"namespace", kNamespaces}, {"kernel", kKernel},
    {"abi", kAbi},          {"race", kRaces},            {"resource", kResources},  {"quota", kQuotas},
    {"life", kLife},
    {NULL, NULL}};

static char** g_facts;
static const char* g_nonce = "";

const char* Nonce(void) { return g_nonce; }

const char* Fact(const char* name) {
  const size_t length = strlen(name);
  for (char** fact = g_facts; *fact != NULL; ++fact) {
    if (strncmp(*fact, name, length) == 0 && (*fact)[length] == '=') return *fact + length + 1;
  }
  return "";
}

long NumberFact(const char* name) { return strtol(Fact(name), NULL, 0); }

// One write for each line, so that lines of several processes do not mix.
static void Say(const char* word, const char* text) {
  char line[1024];
  const int length = snprintf(line, sizeof line, "\n%s %s %s\n", g_nonce, word, text);
  const size_t size = length < (int)sizeof line ? (size_t)length : sizeof line - 1;
  if (write(STDOUT_FILENO, line, size) < 0) return;
}

void Succeeded(const char* what) { Say("succeeded", what); }

void Stopped(const char* what, int error) {
  char text[512];
  snprintf(text, sizeof text, error != 0 ? "%s: %s" : "%s", what, strerror(error));
  Say("stopped", text);
}

bool Report(const char* what, long result) {
  const int error = errno;
  if (result >= 0) {
    Succeeded(what);
  } else {
    Stopped(what, error);
  }
  return result >= 0;
}

bool Step(const char* what, long result) {
  if (result < 0) Stopped(what, errno);
  return result >= 0;
}

bool ReportReached(const char* what, long result) {
  if (result < 0 && errno != EPERM && errno != EACCES && errno != ENOSYS) {
    char text[512];
    snprintf(text, sizeof text, "%s (reached the kernel: %s)", what, strerror(errno));
    Succeeded(text);
    return true;
  }
  return Report(what, result);
}

void Leak(const void* data, size_t size) {
  char text[900];
  const char* bytes = data;
  size_t length = 0;
  for (size_t i = 0; i < size && length + 1 < sizeof text; ++i) {
    text[length++] = bytes[i] > ' ' && bytes[i] < 0x7f ? bytes[i] : '.';
  }
  text[length] = '\0';
  Say("leaked", text);
}

void LeakDescriptor(const char* what, int fd) {
  char data[800];
  const ssize_t size = read(fd, data, sizeof data);
  if (Step(what, size) && size > 0) Leak(data, (size_t)size);
}

void LeakFile(const char* path) {
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (!Step(path, fd)) return;
  LeakDescriptor(path, fd);
  close(fd);
}

bool ReportOpen(const char* path, int flags) {
  const int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  const bool opened = Report(path, fd);
  if (fd >= 0) close(fd);
  return opened;
}

long WriteTo(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t written = write(fd, text, strlen(text));
  const int error = errno;
  close(fd);
  errno = error;
  return written;
}

static int List(void) {
  static const char* const kWitnesses[] = {"claim", "secret", "outside", "survivor", "time", "output"};
  static const char* const kProvables[] = {"anywhere", "root", "user", "machine"};
  for (const struct Family* family = kFamilies; family->name != NULL; ++family) {
    for (const struct Attack* attack = family->attacks; attack->name != NULL; ++attack) {
      printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", attack->name, family->name, kWitnesses[attack->witness],
             kProvables[attack->provable], attack->tries, attack->stopper, attack->granted != NULL ? attack->granted : "",
             attack->options != NULL ? attack->options : "");
    }
  }
  return ferror(stdout) != 0;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--list") == 0) return List();
  if (argc == 3 && strcmp(argv[1], "--victim") == 0) return VictimMain(argv[2]);
  if (argc < 3) {
    fprintf(stderr, "usage: attack --list | --victim SECRET | NAME NONCE [FACT=VALUE]...\n");
    return 2;
  }
  g_nonce = argv[2];
  g_facts = argv + 3;
  for (const struct Family* family = kFamilies; family->name != NULL; ++family) {
    for (const struct Attack* attack = family->attacks; attack->name != NULL; ++attack) {
      if (strcmp(attack->name, argv[1]) != 0) continue;
      Say("begins", attack->name);
      attack->run();
      Say("ends", attack->name);
      return 0;
    }
  }
  if (strcmp(argv[1], "control") == 0) {
    Say("begins", "control");
    Say("succeeded", "it runs");
    return 0;
  }
  fprintf(stderr, "attack: no attack \"%s\"\n", argv[1]);
  return 2;
}
