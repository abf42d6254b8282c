#include "tools/version/version.h"

#include <string_view>

#include "tools/version/build_info.h"

#if defined(__clang__)
#define BROOD_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define BROOD_COMPILER "gcc " __VERSION__
#else
#define BROOD_COMPILER "unknown compiler"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define BROOD_SANITIZER ", asan"
#elif defined(__SANITIZE_THREAD__)
#define BROOD_SANITIZER ", tsan"
#else
#define BROOD_SANITIZER ""
#endif

namespace brood {

std::string_view VersionString() {
  return BROOD_VERSION " (commit " BROOD_COMMIT ", " BROOD_COMPILATION_MODE ", " BROOD_COMPILER BROOD_SANITIZER ")";
}

}  // namespace brood
