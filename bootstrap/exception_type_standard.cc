// Visual C++, and any other compiler: what standard C++ can tell. Its type_info::name is readable there.
#include <exception>
#include <string_view>
#include <typeinfo>

#include "absl/status/status.h"
#include "bootstrap/exception_type.h"

namespace brood::internal {
namespace {

std::string NameOf(const std::type_info& type) {
  std::string_view name = type.name();
  for (const std::string_view word : {"class ", "struct "}) {
    if (name.substr(0, word.size()) == word) name.remove_prefix(word.size());
  }
  return std::string(name);
}

}  // namespace

std::string CurrentExceptionType() {
  try {
    throw;
  } catch (const std::exception& exception) {
    return NameOf(typeid(exception));  // Of what was thrown, not of the base: it is polymorphic.
  } catch (const std::string&) {
    return "std::string";
  } catch (const char*) {
    return "char const*";
  } catch (const absl::Status&) {
    return "absl::Status";
  } catch (int) {
    return "int";
  } catch (...) {
    return "unknown exception";
  }
}

}  // namespace brood::internal
