#include "tests/conformance/executor.h"

#include <stdexcept>

#include "base/own_process.h"
#include "bootstrap/exit.h"
#include "bootstrap/target.h"

namespace brood {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

int64_t OwnPid() { return OwnProcessNumber(); }
BROOD_TARGET(OwnPid);

BROOD_TARGET(Die);

int Throw() { throw std::invalid_argument("no such thing"); }
BROOD_TARGET(Throw);

void ExitWith(int code) { Exit(code); }
BROOD_TARGET(ExitWith);

void Spin() {
  // Volatile, or the compiler may take the loop for one that ends. [intro.progress]
  for (volatile bool for_ever = true; for_ever;) {
  }
}
BROOD_TARGET(Spin);

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
