// Lanes of databases that are filled for a topology that is still to come (`stgctl migrate
// --ahead`, docs/adr/0007-migrate.md): they hold copies, which nobody may serve.
#ifndef LIBSTORAGE_SRC_REVISION_AHEAD_H_
#define LIBSTORAGE_SRC_REVISION_AHEAD_H_

#include <string>

#include "src/backend/backend.h"

namespace storage {

// The m_id of such a lane; m_id: of the metadata store whose objects are copied.
std::string AheadOf(const std::string& m_id);
bool IsAhead(const Lane& lane);
// INVALID with the remedy when it is one. place: of the database, for the message.
absl::Status CheckNotAhead(const Lane& lane, const std::string& place, const std::string& name);

}  // namespace storage

#endif  // LIBSTORAGE_SRC_REVISION_AHEAD_H_
