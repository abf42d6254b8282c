// Machines whose unwinder nobody has tried yet: exceptions arrive without their stack.
#include "bootstrap/throw_site.h"

namespace brood {
namespace internal {

void WatchCall(void (*function)(const void*), const void* arg, ThrowSite* site) {
  *site = {};
  function(arg);
}

}  // namespace internal
}  // namespace brood
