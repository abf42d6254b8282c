// Ways in which a target of a DLL can end, and what it sees of the process that it runs in.
#include <cstdio>
#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "bootstrap/current_process.h"
#include "bootstrap/exit.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/target.h"

// Before the program has lent anything.
[[maybe_unused]] static const bool g_early = [] {
  (void)brood::AddFinalizer([] { std::puts("early"); }, {.priority = -1});
  return true;
}();

brood::ExitCode GivesCode(int code) { return {code}; }
BROOD_TARGET(GivesCode);

// The destructor and the finalizers show that it is the program's Exit that runs, in the program's scope.
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

// One that it catches itself, another in flight.
int Catches(int number) {
  struct CatchesInside {
    ~CatchesInside() {
      try {
        throw std::invalid_argument("inner");
      } catch (const std::exception&) {
      }
    }
  };
  try {
    const CatchesInside inside;
    throw std::out_of_range("outer");
  } catch (const std::logic_error&) {
    return number;
  }
}
BROOD_TARGET(Catches);

absl::Status Refuses() { return absl::NotFoundError("nothing there"); }
BROOD_TARGET(Refuses);

std::string OwnName() {
  const brood::Parent* const parent = brood::ParentProcess();
  return brood::CurrentProcess().name + " of " + (parent != nullptr ? parent->name() : "nobody");
}
BROOD_TARGET(OwnName);
