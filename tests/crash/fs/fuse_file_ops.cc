// Files: open, read, write, sync, attributes.
#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>
#include <ctime>
#include <span>
#include <vector>

#include "fuse_ops.h"

namespace dropfs {

void Open(fuse_req_t request, fuse_ino_t id, fuse_file_info* file) {
  const bool truncates = (file->flags & O_TRUNC) != 0;
  Serve(request, truncates, [&](Volume& volume) {
    Node* node = volume.Get(id);
    if (node == nullptr) return ENOENT;
    if (node->image == nullptr) return EISDIR;
    if (truncates) {
      if (int error = volume.Truncate(id, 0)) return error;
    }
    ++node->opens;
    file->keep_cache = 1;  // all changes go through this mount
    fuse_reply_open(request, file);
    return 0;
  });
}

void Release(fuse_req_t request, fuse_ino_t id, fuse_file_info*) {
  Serve(request, false, [&](Volume& volume) {
    if (Node* node = volume.Get(id)) {
      --node->opens;
      volume.Collect(id);
    }
    fuse_reply_err(request, 0);
    return 0;
  });
}

void Read(fuse_req_t request, fuse_ino_t id, size_t size, off_t offset, fuse_file_info*) {
  Serve(request, false, [&](Volume& volume) {
    const Node* node = volume.Get(id);
    if (node == nullptr || node->image == nullptr) return EBADF;
    std::vector<char> out(size);
    const size_t n = node->image->Read(offset, out);
    fuse_reply_buf(request, out.data(), n);
    return 0;
  });
}

void Write(fuse_req_t request, fuse_ino_t id, const char* data, size_t size, off_t offset,
           fuse_file_info*) {
  Serve(request, true, [&](Volume& volume) {
    if (int error = volume.Write(id, offset, std::span(data, size))) return error;
    fuse_reply_write(request, size);
    return 0;
  });
}

// close() makes nothing durable.
void Flush(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  Serve(request, false, [&](Volume&) {
    fuse_reply_err(request, 0);
    return 0;
  });
}

// fdatasync is the same: it too makes the size durable when it has changed.
void Fsync(fuse_req_t request, fuse_ino_t id, int, fuse_file_info*) {
  Serve(request, true, [&](Volume& volume) {
    if (int error = volume.Sync(id)) return error;
    fuse_reply_err(request, 0);
    return 0;
  });
}

void Fallocate(fuse_req_t request, fuse_ino_t id, int mode, off_t offset, off_t length,
               fuse_file_info*) {
  Serve(request, true, [&](Volume& volume) {
    const Node* node = volume.Get(id);
    if (node == nullptr || node->image == nullptr) return EBADF;
    if (mode != 0) return EOPNOTSUPP;
    if (offset + length > node->image->size()) {
      if (int error = volume.Truncate(id, offset + length)) return error;
    }
    fuse_reply_err(request, 0);
    return 0;
  });
}

void SetAttr(fuse_req_t request, fuse_ino_t id, struct stat* attr, int to_set, fuse_file_info*) {
  Serve(request, (to_set & FUSE_SET_ATTR_SIZE) != 0, [&](Volume& volume) {
    Node* node = volume.Get(id);
    if (node == nullptr) return ENOENT;
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
      if (int error = volume.Truncate(id, attr->st_size)) return error;
    }
    if ((to_set & FUSE_SET_ATTR_MODE) != 0) {
      node->mode = (node->mode & S_IFMT) | (attr->st_mode & 07777);
    }
    if ((to_set & FUSE_SET_ATTR_UID) != 0) node->uid = attr->st_uid;
    if ((to_set & FUSE_SET_ATTR_GID) != 0) node->gid = attr->st_gid;
    if ((to_set & FUSE_SET_ATTR_MTIME) != 0) node->mtime = attr->st_mtim;
    if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0) clock_gettime(CLOCK_REALTIME, &node->mtime);
    const struct stat st = StatOf(id, *node);
    fuse_reply_attr(request, &st, kForever);
    return 0;
  });
}

}  // namespace dropfs
