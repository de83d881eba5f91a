"""What people look at: the gallery, and the report on modality balance."""
