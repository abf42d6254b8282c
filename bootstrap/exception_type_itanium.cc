// GCC and clang, mingw-w64 included.
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <typeinfo>

#include "bootstrap/exception_type.h"

namespace brood::internal {

std::string CurrentExceptionType() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown exception";
  int failed = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type->name(), nullptr, nullptr, &failed),
                                                         std::free);
  return failed == 0 && name != nullptr ? name.get() : type->name();
}

}  // namespace brood::internal
