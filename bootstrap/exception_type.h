// The type of what is being handled, whatever it is: each C++ runtime has its own way.
#ifndef BROOD_BOOTSTRAP_EXCEPTION_TYPE_H_
#define BROOD_BOOTSTRAP_EXCEPTION_TYPE_H_

#include <string>

namespace brood::internal {

// "std::runtime_error". Inside a catch block only.
std::string CurrentExceptionType();

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_EXCEPTION_TYPE_H_
