"""Catalogues that name several images in one cell: a row for each of them."""

from dataclasses import replace


def split_images(file, separator, columns):
    """A catalogue file with a row an image.

    The first image keeps the row's id, the others get "ID~2", "ID~3", ... All of them share a
    product: that of the row, or else its id. Spaces around an image are dropped, and so are empty
    ones and those named before.

    Args:
        file: :class:`fairseq_item.data.catalog_formats.CatalogFile`.
        separator: between two images of a cell.
        columns: what the file calls its columns, :class:`fairseq_item.data.catalog.Columns`.

    Returns:
        CatalogFile: ``file`` as it is where it lacks a column id or image, for whoever needs them
        to say so.
    """
    names = list(file.fieldnames)
    if columns.id not in names or columns.image not in names:
        return file
    if columns.product not in names:
        names.append(columns.product)
    row_id, image, product = (
        names.index(name) for name in (columns.id, columns.image, columns.product)
    )

    def rows():
        for number, values in file.rows():
            values = values + [""] * (len(names) - len(values))
            images = [part.strip() for part in values[image].split(separator)]
            images = list(dict.fromkeys(part for part in images if part)) or [""]
            if len(images) > 1 and not values[product].strip():
                values[product] = values[row_id]
            for count, values[image] in enumerate(images, start=1):
                one = list(values)
                if count > 1:
                    one[row_id] = f"{one[row_id].strip()}~{count}"
                yield number, one

    return replace(file, fieldnames=names, rows=rows)
