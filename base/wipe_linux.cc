#include <cstring>

#include "base/wipe.h"

namespace brood {

void Wipe(void* data, size_t size) { explicit_bzero(data, size); }

}  // namespace brood
