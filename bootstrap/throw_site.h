// Where an exception that nobody caught was thrown.
//
//   ThrowSite site;
//   try {
//     Watch([] { target(); }, &site);
//   } catch (...) {
//     std::cerr << StackText(site);  // The stack of the throw, which is unwound by now.
//   }
//
// The unwinder first searches for a handler, from the throw outwards, asking each frame's personality routine, and
// unwinds only when it has found one. Itanium C++ ABI, "Exception Handling", 1.3. Watch is a frame whose routine
// handles nothing and notes the stack, which is still whole. So no symbol of the C++ runtime is interposed, static
// programs work as others do, and an exception that is caught further in costs nothing.
#ifndef BROOD_BOOTSTRAP_THROW_SITE_H_
#define BROOD_BOOTSTRAP_THROW_SITE_H_

#include <cstddef>
#include <string>

namespace brood {
namespace internal {

// Addresses in the callers of the throw, innermost first, up to the frame that watches. Empty where the machine's
// unwinder is not known. An exception that was rethrown has the place of the last throw.
struct ThrowSite {
  static constexpr size_t kMaxFrames = 64;
  void* frames[kMaxFrames];
  size_t count = 0;
  bool cut = false;  // There were more frames.
};

// Calls function(arg); what it throws goes on to the caller, and `site` says where the last of it came from.
void WatchCall(void (*function)(const void*), const void* arg, ThrowSite* site);

template <typename Function>
void Watch(const Function& function, ThrowSite* site) {
  WatchCall([](const void* arg) { (*static_cast<const Function*>(arg))(); }, &function, site);
}

// One frame a line, "brood::Throw() (program+0x1234)"; the name is absent where there are no symbols. At most 16 KiB.
std::string StackText(const ThrowSite& site);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_THROW_SITE_H_
