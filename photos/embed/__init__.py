"""What a model makes of photos: embeddings and who looks like whom, two photos compared, people found in a gallery.

for line in embed_photos(model, faces_of(...), out): say(line)
"""

from photos.embed.compare import compare_photos
from photos.embed.faces import Faces, aligned_by, as_they_are
from photos.embed.gallery import find_people
from photos.embed.results import embed_photos

__all__ = ["Faces", "aligned_by", "as_they_are", "compare_photos", "embed_photos", "find_people"]
