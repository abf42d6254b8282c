// What all attacks share: the table, the facts that they are told, and how they say what happened.
//
//   static void ReadsSecretFile(void) { LeakFile(Fact("secret_file")); }
//   {"secret-file", ReadsSecretFile, kSecret, kAnywhere, .tries = "opens a file outside"}, ...
//
// An attack is one function, in a process of its own. What it says on standard output counts only with the nonce that it
// was told, and where the table says that its witness is something outside, not even then: see WITNESS below.
//
// Everything here must do no harm when nothing stops it: it aims at what the stage made for it, asks for what it does
// not use, or sets what is set already.
#ifndef BROOD_TESTS_ESCAPE_ATTACKS_ATTACK_H_
#define BROOD_TESTS_ESCAPE_ATTACKS_ATTACK_H_

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

// What proves that an attack succeeded.
enum Witness {
  kClaim,    // Its own word, with the nonce: what it gained cannot be seen from outside (a system call that was carried out).
  kSecret,   // It printed the stage's secret, which it is never told.
  kOutside,  // Something outside changed: a file, the victim, a message in a listener.
  kSurvivor, // A process of it is alive when the launcher is gone.
  kTime,     // It is still running when the patience is over.
  kOutput,   // More bytes came out than a launcher with a limit would let through.
};

// Where it succeeds if nothing stops it.
enum Provable {
  kAnywhere,  // With any user, on any machine.
  kRoot,      // As root.
  kUser,      // As another user than root.
  kMachine,   // Where the machine has what is attacked: a device, a kernel's option.
};

struct Attack {
  const char* name;
  void (*run)(void);
  enum Witness witness;
  enum Provable provable;
  const char* tries;    // "connects to a listener on 127.0.0.1"
  const char* stopper;  // By what brood stops it.
  const char* granted;  // Built-in policies that allow it, or "design" for all: see docs/security.md. NULL: none.
  const char* options;  // Options of `brood run` that set the limit which it breaks. NULL: none.
};

struct Family {
  const char* name;
  const struct Attack* attacks;  // Up to one without a name.
};

extern const struct Attack kFiles[], kShown[], kProc[], kDevices[], kTerminal[], kProcesses[], kLauncher[], kNetwork[], kIpc[],
    kPrivileges[], kNamespaces[], kKernel[], kAbi[], kRaces[], kResources[], kQuotas[], kLife[];

// What the stage told about itself, by name; "" and 0 if it did not.
const char* Fact(const char* name);
long NumberFact(const char* name);
const char* Nonce(void);

// Lines for the stage. Each may be called more than once; one success is enough.
void Succeeded(const char* what);
void Stopped(const char* what, int error);  // `error` as errno, 0 for none.

// Succeeded if `result`, of a system call, is not negative, else Stopped with errno. Returns whether it succeeded.
bool Report(const char* what, long result);

// For what comes before: only a failure is told. Returns whether it succeeded.
bool Step(const char* what, long result);

// As Report, for calls with arguments that the kernel rejects only after it has looked whether the caller may: any
// errno but EPERM, EACCES and ENOSYS is a success too.
bool ReportReached(const char* what, long result);

// Says what was read; the stage looks for its secret in it.
void Leak(const void* data, size_t size);
void LeakDescriptor(const char* what, int fd);
void LeakFile(const char* path);

// Succeeded if the file can be opened like that. It is not read or written.
bool ReportOpen(const char* path, int flags);

// The program that stands outside and is attacked: see victim.c.
int VictimMain(const char* secret);

// Writes text, or as much as fits, to a file that is there. Returns -1 and errno as write(2).
long WriteTo(const char* path, const char* text);

#endif  // BROOD_TESTS_ESCAPE_ATTACKS_ATTACK_H_
