#include "bootstrap/throw_site.h"

namespace brood {
namespace internal {

// No site is known here (throw_site_other.cc), and so no stack.
std::string StackText(const ThrowSite& /*site*/) { return ""; }

}  // namespace internal
}  // namespace brood
