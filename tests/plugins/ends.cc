// Every way in which a target can end.
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bootstrap/exit.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/target.h"

void Nothing() {}
BROOD_TARGET(Nothing);

brood::ExitCode GivesCode(int code) { return {code}; }
BROOD_TARGET(GivesCode);

// The destructor and the finalizer show that it is the program's Exit that runs, in the program's scope.
void Exits(int code) {
  struct Says {
    ~Says() { std::puts("unwound"); }
  } says;
  (void)brood::AddFinalizer([] { std::puts("finalized"); });
  brood::Exit(code);
}
BROOD_TARGET(Exits);

void Throws(const std::string& text) { throw std::runtime_error(text); }
BROOD_TARGET(Throws);

absl::Status Refuses() { return absl::NotFoundError("nothing there"); }
BROOD_TARGET(Refuses);

absl::StatusOr<int> GivesOrRefuses(bool give) {
  if (give) return 7;
  return absl::NotFoundError("nothing there");
}
BROOD_TARGET(GivesOrRefuses);

void Raises(int signal) { raise(signal); }
BROOD_TARGET(Raises);

void Hangs() {
  while (true) pause();
}
BROOD_TARGET(Hangs);

void PrintsAndHangs() {
  std::puts("hanging");
  std::fflush(stdout);
  Hangs();
}
BROOD_TARGET(PrintsAndHangs);

int CallsSetreuid() { return setreuid(0, 0); }
BROOD_TARGET(CallsSetreuid);

int Prints(const std::string& text) {
  std::puts(text.c_str());
  return 3;
}
BROOD_TARGET(Prints);

std::string Long(uint32_t size) { return std::string(size, 'x'); }
BROOD_TARGET(Long);
