#include "tests/conformance/executor.h"

#include <signal.h>
#include <unistd.h>

#include <stdexcept>

#include "bootstrap/exit.h"
#include "bootstrap/target.h"

namespace brood {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

int64_t OwnPid() { return getpid(); }
BROOD_TARGET(OwnPid);

void RaiseKill() { raise(SIGKILL); }
BROOD_TARGET(RaiseKill);

int Throw() { throw std::invalid_argument("no such thing"); }
BROOD_TARGET(Throw);

void ExitWith(int code) { Exit(code); }
BROOD_TARGET(ExitWith);

void Spin() {
  while (true) {
    // Or the compiler may take the loop for one that ends. [intro.progress]
    asm volatile("");
  }
}
BROOD_TARGET(Spin);

void IgnoreTermAndSleep() {
  signal(SIGTERM, SIG_IGN);
  while (true) pause();
}
BROOD_TARGET(IgnoreTermAndSleep);

std::string Letters(uint64_t count) { return std::string(count, 'x'); }
BROOD_TARGET(Letters);

uint64_t Count(const std::string& letters) { return letters.size(); }
BROOD_TARGET(Count);

static const UniqueFd* g_held = nullptr;

void HoldDescriptor(UniqueFd pipe) { g_held = new UniqueFd(std::move(pipe)); }
BROOD_TARGET(HoldDescriptor);

void WaitForHeld() { WaitForEnd(*g_held); }
BROOD_TARGET(WaitForHeld);

void WriteToHeld(char byte) { WriteByte(*g_held, byte); }
BROOD_TARGET(WriteToHeld);

}  // namespace brood
