#include <windows.h>

#include "base/wipe.h"

namespace brood {

void Wipe(void* data, size_t size) { SecureZeroMemory(data, size); }

}  // namespace brood
