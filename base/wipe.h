// Overwrites a secret so that the compiler does not leave it out.
#ifndef BROOD_BASE_WIPE_H_
#define BROOD_BASE_WIPE_H_

#include <cstddef>

namespace brood {

void Wipe(void* data, size_t size);

}  // namespace brood

#endif  // BROOD_BASE_WIPE_H_
